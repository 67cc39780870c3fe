#!/bin/bash
# accounts-conformance.t: conformance.t once more, on a registry with accounts: the administrator asks.
ACCOUNTS=1 exec "${0%/*}/conformance.t"
