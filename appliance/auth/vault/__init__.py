"""Where keys lie: the keyring, a file, an encrypted file, credentials; chosen, never guessed."""
