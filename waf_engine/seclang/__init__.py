"""The rule language: text to tree (`parser`) and back (`unparse`). It looks no name up and opens no file."""
