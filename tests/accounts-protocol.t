#!/bin/bash
# accounts-protocol.t: protocol.t once more, on a registry with accounts: the administrator asks.
ACCOUNTS=1 exec "${0%/*}/protocol.t"
