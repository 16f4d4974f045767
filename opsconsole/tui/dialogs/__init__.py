"""What stands on top of a view: the dialog of a deed, a new secret shown once, what unlocks the vault."""
