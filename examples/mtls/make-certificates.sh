#!/bin/sh
# Everything that the example needs, in ./certs: an authority, certificates of the front, of the application and of the front
# as the application's client, and of three clients: alice, bob (revoked), and mallory, whom another authority signed.
#
#   cd examples/mtls && sh make-certificates.sh
set -eu
mkdir -p certs
cd certs
: > index.txt
echo 1000 > serial
echo 1000 > crlnumber
cat > ca.cnf <<CONF
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
crlnumber = crlnumber
new_certs_dir = .
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
organizationalUnitName = optional
[req]
distinguished_name = name
[name]
CONF

authority() { # name
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config ca.cnf -days 30 \
        -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE -keyout "$1.key" -out "$1.crt"
}

certificate() { # authority, file, subject, use, other names
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config ca.cnf -subj "$3" \
        -addext "extendedKeyUsage=$4" ${5:+-addext "subjectAltName=$5"} -keyout "$2.key" -out "$2.csr"
    openssl ca -batch -notext -config ca.cnf -cert "$1.crt" -keyfile "$1.key" -in "$2.csr" -out "$2.crt"
}

# What openssl says is of interest when something fails.
exec 3>&2 2> openssl.log
trap '[ $? = 0 ] || cat openssl.log >&3' EXIT

authority ca
authority stranger
certificate ca front    /CN=front          serverAuth DNS:localhost,IP:127.0.0.1
certificate ca app      /CN=app            serverAuth DNS:app.internal
certificate ca gateway  /CN=gateway        clientAuth
certificate ca alice    /OU=admin/CN=alice clientAuth
certificate ca carol    /OU=staff/CN=carol clientAuth
certificate ca bob      /OU=staff/CN=bob   clientAuth
certificate stranger mallory /OU=admin/CN=alice clientAuth
openssl ca -config ca.cnf -cert ca.crt -keyfile ca.key -revoke bob.crt
openssl ca -config ca.cnf -cert ca.crt -keyfile ca.key -gencrl -out ca.crl
