"""Plans at work: transactions, the exchange they hold, and the executors that run rules on it."""
