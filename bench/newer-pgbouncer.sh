#!/bin/sh
# Unpacks another Debian release's PgBouncer, with the libraries it needs, into a private directory. Nothing is
# installed and the system's package lists stay as they are. Debian and its derivatives on amd64 or arm64; no root needed.
#
#   bench/newer-pgbouncer.sh trixie|sid DIR
#
# Then: cargo xtask bench --pgbouncer DIR/pgbouncer
set -eu

suite=${1:?usage: newer-pgbouncer.sh SUITE DIR}
dir=${2:?usage: newer-pgbouncer.sh SUITE DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# The mirror and the key that this system already trusts for Debian itself.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1)
key=/usr/share/keyrings/debian-archive-keyring.gpg
[ -n "$mirror" ] || { echo "no Debian mirror among this system's package sources" >&2; exit 1; }
[ -f "$key" ] || { echo "missing $key (package debian-archive-keyring)" >&2; exit 1; }

mkdir -p "$dir/apt/state/lists/partial" "$dir/apt/cache/archives/partial" "$dir/apt/parts" "$dir/debs"
: > "$dir/apt/status"
echo "deb [signed-by=$key] $mirror $suite main" > "$dir/apt/sources.list"
cat > "$dir/apt/apt.conf" <<CONF
Dir::Etc::SourceList "$dir/apt/sources.list";
Dir::Etc::SourceParts "$dir/apt/parts";
Dir::State "$dir/apt/state";
Dir::State::Status "$dir/apt/status";
Dir::Cache "$dir/apt/cache";
APT::Install-Recommends "false";
CONF
export APT_CONFIG="$dir/apt/apt.conf"
# apt drops to its own user when run by root, which may not write here.
[ "$(id -u)" != 0 ] || echo 'APT::Sandbox::User "root";' >> "$dir/apt/apt.conf"
apt-get -qq update

# Shared libraries only: what the package's scripts need (perl, postgresql-common, …) is not run here.
libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances pgbouncer | grep -E '^lib(c6|cares2|event-2|ldap2|pam0g|ssl3|systemd0|cap2|audit1|cap-ng0|sasl2-2|zstd1|gcrypt20|gpg-error0|lzma5|lz4-1)' ; echo zlib1g)
(cd "$dir/debs" && apt-get -qq download pgbouncer $(echo "$libraries" | sort -u))
for deb in "$dir"/debs/*.deb; do
    dpkg-deb -x "$deb" "$dir/root"
done

loader=$(find "$dir/root" -name 'ld-linux*.so.*' | head -n 1)
path=$(find "$dir/root" -type d -path '*/lib/*-linux-gnu' | tr '\n' ':')
cat > "$dir/pgbouncer" <<RUN
#!/bin/sh
exec "$loader" --library-path "$path" "$dir/root/usr/sbin/pgbouncer" "\$@"
RUN
chmod 755 "$dir/pgbouncer"
"$dir/pgbouncer" --version
