#!/bin/bash
# accounts-spec.t: spec.t once more, on a registry with accounts: the administrator asks.
ACCOUNTS=1 exec "${0%/*}/spec.t"
