#!/bin/sh
# Fill the share with the sample files once, give its user the password, serve.
set -eu
: "${SMB_PASSWORD:?is missing}"
[ -e /share/Data ] || cp -r /samples/. /share/
chown -R penstock /share
printf '%s\n%s\n' "$SMB_PASSWORD" "$SMB_PASSWORD" | smbpasswd -s -a penstock > /dev/null
exec smbd --foreground --no-process-group --debug-stdout
