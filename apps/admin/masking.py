"""Addresses and tokens as an operator's page may show them: enough to recognise, too little to copy."""

import re

ADDRESS = re.compile(r"([^\s<>\"'(),;:@])[^\s<>\"'(),;:@]*@([^\s<>\"'(),;:@]+)")


def words(text: str) -> str:
    """`text`, a provider's words say, with every address in it masked."""
    return ADDRESS.sub(r"\1***@\2", text)
