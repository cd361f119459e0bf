# shellcheck shell=sh
# make_tokens OWNER: the access tokens for a listening port, where there are none: 256 bits for each role.
make_tokens() {
  file=$CONFIG/tokens
  [ ! -s "$file" ] || return 0
  ( umask 077
    for role in admin infer read; do
      echo "$role $(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')"
    done > "$file.new" )
  chown "$1" "$file.new"
  mv "$file.new" "$file"
}
