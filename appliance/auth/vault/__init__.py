"""Where keys are kept: the keyring, a file, an encrypted file, credentials; as configured."""
