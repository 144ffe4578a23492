#!/bin/sh
# Puts the settings of this server's environment into their place.
set -eu
environment=${DEPLOY_ENVIRONMENT:-staging}
cp "environments/$environment"/* .
echo "settings of $environment are in place"
