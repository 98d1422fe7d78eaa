"""From the tree of a rule file to a plan: names resolved, rules frozen."""
