"""Secrets: the providers of c['secretsProviders'], and the lookup that asks them."""
