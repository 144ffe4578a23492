#!/bin/sh
# Puts the settings of this server's environment into their place.
set -eu
environment=$(cat ENVIRONMENT)
cp "environments/$environment"/* .
echo "settings of $environment are in place"
