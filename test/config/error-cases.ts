/**
 * Mistakes and what is said of them: one list for the test of our loader and for the comparison with nginx.
 *
 * `error` is the text without ` in FILE:LINE`. `ours`: nginx says something else, or nothing (NGINX Plus, TLS texts).
 */
import { inHttp, inLocation, inServer, inUpstream } from './support.ts';

export interface ErrorCase {
  conf: string;
  error: string;
  ours?: true;
}

const cases: ErrorCase[] = [];
const add =
  (wrap: (text: string) => string, ours?: true) =>
  (list: Record<string, string>): void => {
    for (const [text, error] of Object.entries(list)) {
      cases.push(ours === true ? { conf: wrap(text), error, ours } : { conf: wrap(text), error });
    }
  };

// --------------------------------------------------------------------------------------------- subrequests and bodies
add(inHttp)({
  'ssi 1;': 'invalid value "1" in "ssi" directive, it must be "on" or "off"',
  'ssi_value_length x;': '"ssi_value_length" directive invalid value',
  'mirror /a; mirror off;': '"mirror" directive is duplicate',
  'auth_request /a; auth_request off;': '"auth_request" directive is duplicate',
  'auth_request_set a b;': 'invalid variable name "a"',
  'auth_request_set $uri b;': 'the duplicate "uri" variable',
  "sub_filter '' x;": 'empty search pattern',
  'keepalive_disable opera;': 'invalid value "opera"',
});

// --------------------------------------------------------------------------------------------- charsets
add(inHttp)({
  'charset a; charset b;': '"charset" directive is duplicate',
  'source_charset a; source_charset b;': '"source_charset" directive is duplicate',
  'override_charset 1;': 'invalid value "1" in "override_charset" directive, it must be "on" or "off"',
  'charset_map a A {}': '"charset_map" between the same charsets "a" and "A"',
  'charset_map utf-8 a {}': '"charset_map" with "utf-8" charset should be given in the second column',
  'charset_map a b {} charset_map b a {}': 'duplicate "charset_map" between "b" and "a"',
  'charset_map a b { 1; }': 'invalid parameters number',
  'charset_map a b { 1 2 3; }': 'invalid parameters number',
  'charset_map a b { 100 1; }': 'invalid value "100"',
  'charset_map a b { x 1; }': 'invalid value "x"',
  'charset_map a b { 1 1ff; }': 'invalid value "1ff"',
  'charset_map a utf-8 { 80 e2948080; }': 'invalid value "e2948080"',
  'charset_map a utf-8 { 80 e2; }': 'invalid value "e2"',
  'gzip_static maybe;': 'invalid value "maybe"',
  'early_hints $nonsense;': 'unknown "nonsense" variable',
});
add(inServer)({
  'location / { charset a; source_charset b; }': 'no "charset_map" between the charsets "b" and "a"',
});

// --------------------------------------------------------------------------------------------- OCSP
add(inServer)({
  'ssl_reject_handshake on; ssl_verify_client optional_no_ca; ssl_ocsp on;':
    '"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"',
  'ssl_stapling maybe;': 'invalid value "maybe" in "ssl_stapling" directive, it must be "on" or "off"',
  'ssl_ocsp maybe;': 'invalid value "maybe"',
  'ssl_ocsp_cache one;': 'invalid OCSP cache "one"',
});

// --------------------------------------------------------------------------------------------- who may come in
add(inHttp)({
  'allow 10.0.0.300;': 'invalid parameter "10.0.0.300"',
  'deny 10.0.0.0/33;': 'invalid parameter "10.0.0.0/33"',
  'auth_basic a; auth_basic b;': '"auth_basic" directive is duplicate',
  'auth_basic_user_file a; auth_basic_user_file b;': '"auth_basic_user_file" directive is duplicate',
  'satisfy some;': 'invalid value "some"',
  'auth_delay x;': '"auth_delay" directive invalid value',
  'limit_req_zone $uri zone=z rate=1r/s;': 'invalid zone size "zone=z"',
  'limit_req_zone $uri zone=z:4k rate=1r/s;': 'zone "zone=z:4k" is too small',
  'limit_req_zone $uri zone=z:64k rate=0r/s;': 'invalid rate "rate=0r/s"',
  'limit_req_zone $uri zone=z:64k rate=x;': 'invalid rate "rate=x"',
  'limit_conn_zone $uri rate=1;': 'invalid parameter "rate=1"',
  'limit_req_zone $uri zone=z:64k rate=1r/s; limit_req_zone $args zone=z:64k rate=1r/s;':
    'limit_req_zone "z" is already bound to key "$uri"',
  'limit_req burst=1;': '"limit_req" must have "zone" parameter',
  'limit_req_zone $uri zone=z:64k rate=1r/s; limit_req zone=z burst=x;': 'invalid burst value "burst=x"',
  'limit_req_zone $uri zone=z:64k rate=1r/s; limit_req zone=z delay=0;': 'invalid delay value "delay=0"',
  'limit_req_zone $uri zone=z:64k rate=1r/s; limit_req zone=z foo;': 'invalid parameter "foo"',
  'limit_req_zone $uri zone=z:64k rate=1r/s; limit_req zone=z; limit_req zone=z;': '"limit_req" directive is duplicate',
  'limit_req_zone $uri zone=z:64k rate=1r/s; limit_conn z 1;':
    'the shared memory zone "z" is already declared for a different use',
  'limit_conn_zone $uri zone=c:64k; limit_conn c 0;': 'invalid number of connections "0"',
  'limit_conn_zone $uri zone=c:64k; limit_conn c 65536;': 'connection limit must be less 65536',
  'limit_conn_zone $uri zone=c:64k; limit_conn c 1; limit_conn c 2;': '"limit_conn" directive is duplicate',
  'limit_req_status 200;': 'value must be between 400 and 599',
  'limit_req_log_level debug;': 'invalid value "debug"',
});
add(inServer)({
  'valid_referers "";': 'invalid referer ""',
  'valid_referers ~;': 'empty regex in "~"',
  'valid_referers a.test a.test;': 'conflicting parameter "a.test"',
  'valid_referers a.*.test;': 'invalid hostname or wildcard "a.*.test"',
});

// --------------------------------------------------------------------------------------------- grammar and framework
add((text) => text)({
  'foo;': 'unknown directive "foo"',
  'server {}': '"server" directive is not allowed here',
  'proxy_pass http://x;': '"proxy_pass" directive is not allowed here',
  'daemon on off;': 'invalid number of arguments in "daemon" directive',
  'daemon;': 'invalid number of arguments in "daemon" directive',
  'daemon maybe;': 'invalid value "maybe" in "daemon" directive, it must be "on" or "off"',
  'daemon on; daemon off;': '"daemon" directive is duplicate',
  'daemon on {}': 'directive "daemon" is not terminated by ";"',
  'events;': 'directive "events" has no opening "{"',
  'events {} events {}': '"events" directive is duplicate',
  'events {} http {} http {}': '"http" directive is duplicate',
  '}': 'unexpected "}"',
  '{': 'unexpected "{"',
  ';': 'unexpected ";"',
  'daemon on }': 'unexpected "}"',
  'events {': 'unexpected end of file, expecting "}"',
  'daemon on': 'unexpected end of file, expecting ";" or "}"',
  'daemon "on"x;': 'unexpected "x"',
  'http {}': 'no "events" section in configuration',
  [`daemon ${'a'.repeat(5000)};`]: 'too long parameter "aaaaaaaaaa..." started',
  [`daemon "${'a'.repeat(5000)};`]: 'too long parameter, probably missing terminating """ character',
  [`daemon '${'a'.repeat(5000)};`]: 'too long parameter, probably missing terminating "\'" character',
  'worker_processes x;': '"worker_processes" directive invalid value',
  'worker_processes 1; worker_processes 2;': '"worker_processes" directive is duplicate',
  'error_log logs/e.log foo;': 'invalid log level "foo"',
  'error_log logs/e.log info warn;': 'duplicate log level "warn"',
  'error_log syslog:tag=x;': 'no syslog server specified',
  'error_log syslog:server=127.0.0.1,facility=x;': 'unknown syslog facility "x"',
  'error_log syslog:server=127.0.0.1,severity=x;': 'unknown syslog severity "x"',
  'error_log syslog:server=127.0.0.1,tag=a-b;': 'syslog "tag" only allows alphanumeric characters and underscore',
  'error_log syslog:server=127.0.0.1,foo;': 'unknown syslog parameter "foo"',
  'error_log syslog:server=127.0.0.1,server=127.0.0.1;': 'duplicate syslog "server"',
  'worker_shutdown_timeout 1x;': '"worker_shutdown_timeout" directive invalid value',
  'events { worker_connections x; }': 'invalid number "x"',
  'events { use carrier_pigeon; }': 'invalid event type "carrier_pigeon"',
  'events { use epoll; use epoll; }': '"use" directive is duplicate',
  'events { accept_mutex x; }': 'invalid value "x" in "accept_mutex" directive, it must be "on" or "off"',
  'worker_rlimit_nofile x;': '"worker_rlimit_nofile" directive invalid number',
});

// ------------------------------------------------------------------------------------------------------ http, server
add(inHttp)({
  'types { a/b c {} }': 'unexpected "{"',
  'types { include; }': 'invalid number of arguments in "include" directive',
  'server { listen 127.0.0.1:99999; }': 'invalid port in "127.0.0.1:99999" of the "listen" directive',
  'server { listen 127.0.0.1:; }': 'invalid port in "127.0.0.1:" of the "listen" directive',
  'server { listen 0; }': 'invalid port in "0" of the "listen" directive',
  'server { listen 127.0.0.1:90-80; }': 'invalid port range in "127.0.0.1:90-80" of the "listen" directive',
  'server { listen :80; }': 'no host in ":80" of the "listen" directive',
  'server { listen a/b:80; }': 'invalid host in "a/b:80" of the "listen" directive',
  'server { listen [::1; }': 'invalid host in "[::1" of the "listen" directive',
  'server { listen [::x]:80; }': 'invalid IPv6 address in "[::x]:80" of the "listen" directive',
  'server { listen []:80; }': 'no host in "[]:80" of the "listen" directive',
  'server { listen unix:; }': 'no path in the unix domain socket in "unix:" of the "listen" directive',
  [`server { listen unix:/${'a'.repeat(120)}; }`]: `too long path in the unix domain socket in "unix:/${'a'.repeat(120)}" of the "listen" directive`,
  'server { listen no.such.host.invalid:80; }': 'host not found in "no.such.host.invalid:80" of the "listen" directive',
  'server { listen 8098 foo; }': 'invalid parameter "foo"',
  'server { listen 8098 backlog=0; }': 'invalid backlog "backlog=0"',
  'server { listen 8098 rcvbuf=x; }': 'invalid rcvbuf "rcvbuf=x"',
  'server { listen 8098 fastopen=x; }': 'invalid fastopen "fastopen=x"',
  'server { listen 8098 ipv6only=of; }': 'invalid ipv6only flags "of"',
  'server { listen 8098 ipv6only=x; }': 'invalid parameter "ipv6only=x"',
  'server { listen 8098 so_keepalive=x; }': 'invalid so_keepalive value: "x"',
  'server { listen 8098 so_keepalive=::; }': 'invalid so_keepalive value: "::"',
  'server { listen 8098; listen 8098; }': 'a duplicate listen 0.0.0.0:8098',
  'server { listen 8098; listen *:8098; }': 'a duplicate listen 0.0.0.0:8098',
  'server { listen 8098 default_server; } server { listen 8098 default_server; }':
    'a duplicate default server for 0.0.0.0:8098',
  'server { listen 8098 backlog=1; } server { listen 8098 backlog=1; }': 'duplicate listen options for 0.0.0.0:8098',
  'server { listen 8098 ssl; }': 'no "ssl_certificate" is defined for the "listen ... ssl" directive',
  'server { listen 8098; server_name *foo; }': 'server name "*foo" is invalid',
  'server { listen 8098; server_name .; }': 'server name "." is invalid',
  'server { listen 8098; server_name ~; }': 'empty regex in server name "~"',
  'server { listen 8098; server_name a.*.b; } server { listen 8098; server_name c; }':
    'invalid server name or wildcard "a.*.b" on 0.0.0.0:8098',
  'server { listen 8098; ssl_certificate x.crt; }': 'no "ssl_certificate_key" is defined for certificate "x.crt"',
  'server { listen 8098; ssl_session_cache shared:a; }': 'invalid session cache "shared:a"',
  'server { listen 8098; ssl_session_cache shared:a:1k; }': 'session cache "shared:a:1k" is too small',
  'server { listen 8098; ssl_session_cache foo; }': 'invalid session cache "foo"',
  'server { listen 8098; ssl_protocols TLSv9; }': 'invalid value "TLSv9"',
  'server { listen 8098; ssl_verify_client maybe; }': 'invalid value "maybe"',
  'server { listen 8098; ssl_password_file none; }': 'open() "/t/conf/none" failed (2: No such file or directory)',
  'server { listen 8098; large_client_header_buffers 0 8k; }': '"large_client_header_buffers" directive invalid value',
  'log_format a $x': 'unexpected "}"',
  "log_format a '$remote_addr'; log_format a 'x';": 'duplicate "log_format" name "a"',
  "log_format combined 'x';": 'duplicate "log_format" name "combined"',
  "log_format a escape=x 'y';": 'unknown log format escaping "x"',
  "log_format a '${remote_addr';": 'the closing bracket in "remote_addr" variable is missing',
  "log_format a 'x $';": 'invalid parameter "$"',
  'access_log logs/a.log nope;': 'unknown log format "nope"',
  'access_log off x;': 'invalid parameter "x"',
  'access_log logs/a.log combined x;': 'invalid parameter "x"',
  'access_log logs/a.log combined buffer=x;': 'invalid buffer size "x"',
  'access_log logs/a.log combined buffer=1k flush=x;': 'invalid flush time "x"',
  'access_log logs/a.log combined flush=1s;': 'no buffer is defined for access_log "logs/a.log"',
  'access_log logs/a.log combined gzip=10;': 'invalid compression level "10"',
  'access_log logs/$host.log combined buffer=1k;': 'buffered logs cannot have variables in name',
  'access_log syslog:server=127.0.0.1 combined buffer=1k;': 'logs to syslog cannot be buffered',
  'access_log logs/a.log combined buffer=1k; access_log logs/a.log combined buffer=2k;':
    'access_log "logs/a.log" already defined with conflicting parameters',
  'open_log_file_cache max=x;': 'invalid "open_log_file_cache" parameter "max=x"',
  'map $host v {}': 'invalid variable name "v"',
  'map $host $host {}': 'the duplicate "host" variable',
  'map $host $v { a; }': 'invalid number of the map parameters',
  'map $host $v { a b c; }': 'invalid number of the map parameters',
  'map $host $v { default a; default b; }': 'duplicate default map parameter',
  'map $host $v { a 1; A 2; }': 'conflicting parameter "a"',
  'map $host $v { hostnames; a.*.b 2; }': 'invalid hostname or wildcard "a.*.b"',
  'map $host $v { ~( 2; }': 'pcre2_compile() failed: missing closing parenthesis in "("',
  'map $host $v { a ${b; }': 'the closing bracket in "b" variable is missing',
  'map $host $v { a "${b"; }': 'the closing bracket in "b" variable is missing',
  'map $nosuch $v { a b; }': 'unknown "nosuch" variable',
  'resolver 127.0.0.1 valid=x;': 'invalid parameter: valid=x',
  'resolver 127.0.0.1 ipv4=x;': 'invalid parameter: ipv4=x',
  'resolver 127.0.0.1 ipv4=off ipv6=off;': '"ipv4" and "ipv6" cannot both be "off"',
  'resolver valid=1s;': 'no name servers defined',
  'resolver 127.0.0.1:x;': 'invalid port in resolver "127.0.0.1:x"',
  'resolver no.such.host.invalid;': 'host not found in resolver "no.such.host.invalid"',
  'real_ip_header a; real_ip_header b;': '"real_ip_header" directive is duplicate',
  'set_real_ip_from no.such.host.invalid;': 'host not found in set_real_ip_from "no.such.host.invalid"',
  'expires modified @1h;': '"expires" directive daily time cannot be used with "modified" parameter',
  'expires @25h;': '"expires" directive daily time value must be less than 24 hours',
  'expires x;': '"expires" directive invalid value',
  'expires foo 1h;': '"expires" directive invalid value',
  'add_header a b c;': 'invalid parameter "c"',
  'keepalive_timeout x;': '"keepalive_timeout" directive invalid value',
  'keepalive_timeout 1y;': '"keepalive_timeout" directive invalid value',
  'keepalive_timeout 1s x;': '"keepalive_timeout" directive invalid value',
  'keepalive_timeout "1s 3m";': '"keepalive_timeout" directive invalid value',
  'keepalive_timeout "";': '"keepalive_timeout" directive invalid value',
  'client_max_body_size 1t;': '"client_max_body_size" directive invalid value',
  'client_body_temp_path a 0;': '"client_body_temp_path" directive invalid value',
  'satisfy some;': 'invalid value "some"',
  'error_page =200 /x;': 'invalid value "=200"',
  'error_page 404 =x /x;': 'invalid value "=x"',
  'error_page 499 /x;': 'invalid value "499"',
  'error_page 200 /x;': 'value "200" must be between 300 and 599',
  'error_page x /x;': 'invalid value "x"',
  'root /a; root /b;': '"root" directive is duplicate',
  'root /a/$document_root;': 'the $document_root variable cannot be used in the "root" directive',
  'root ${realpath_root};': 'the $realpath_root variable cannot be used in the "root" directive',
  'index "";': 'index "" in "index" directive is invalid',
  'limit_rate x;': '"limit_rate" directive invalid value',
  'proxy_buffers 1 4k; server { listen 8098; }': 'there must be at least 2 "proxy_buffers"',
  'proxy_busy_buffers_size 1k; server { listen 8098; }':
    '"proxy_busy_buffers_size" must be equal to or greater than the maximum of the value of "proxy_buffer_size" and ' +
    'one of the "proxy_buffers"',
  'proxy_busy_buffers_size 1m; server { listen 8098; }':
    '"proxy_busy_buffers_size" must be less than the size of all "proxy_buffers" minus one buffer',
  'proxy_max_temp_file_size 1; server { listen 8098; }':
    '"proxy_max_temp_file_size" must be equal to zero to disable temporary files usage or must be equal to or ' +
    'greater than the maximum of the value of "proxy_buffer_size" and one of the "proxy_buffers"',
  'proxy_temp_file_write_size 1; server { listen 8098; }':
    '"proxy_temp_file_write_size" must be equal to or greater than the maximum of the value of "proxy_buffer_size" ' +
    'and one of the "proxy_buffers"',
  'proxy_next_upstream foo;': 'invalid value "foo"',
  'proxy_http_version 3;': 'invalid value "3"',
  'proxy_ignore_headers foo;': 'invalid value "foo"',
  'proxy_bind 1.2.3.x;': 'invalid address "1.2.3.x"',
  'proxy_bind 127.0.0.1 foo;': 'invalid parameter "foo"',
  'proxy_redirect foo;': 'invalid parameter "foo"',
  'proxy_redirect default;': '"proxy_redirect default" should be placed after the "proxy_pass" directive',
  'proxy_redirect off; proxy_redirect a b;': '"proxy_redirect" directive is duplicate',
  'proxy_redirect a b; proxy_redirect off;': '"proxy_redirect" directive is duplicate',
  'proxy_cookie_domain foo;': 'invalid parameter "foo"',
  'proxy_cookie_path off; proxy_cookie_path a b;': '"proxy_cookie_path" directive is duplicate',
  'proxy_cookie_flags foo;': 'invalid parameter "foo"',
  'proxy_set_header a;': 'invalid number of arguments in "proxy_set_header" directive',
});

// --------------------------------------------------------------------------------------- server, location, rewrite
add(inServer)({
  'location ~~ a {}': 'invalid location modifier "~~"',
  'location = / { location /a {} }': 'location "/a" cannot be inside the exact location "/"',
  'location @a { location /a {} }': 'location "/a" cannot be inside the named location "@a"',
  'location / { location @a {} }': 'named location "@a" can be on the server level only',
  'location /a { location /b {} }': 'location "/b" is outside location "/a"',
  'location /a {} location /a {}': 'duplicate location "/a"',
  'location /a {} location ^~ /a {}': 'duplicate location "/a"',
  'location = /a {} location = /a {}': 'duplicate location "/a"',
  'location ~ ( {}': 'pcre2_compile() failed: missing closing parenthesis in "("',
  'location ~ a) {}': 'pcre2_compile() failed: unmatched closing parenthesis in "a)" at ")"',
  'location ~ [a {}': 'pcre2_compile() failed: missing terminating ] for character class in "[a"',
  'location ~ *a {}': 'pcre2_compile() failed: quantifier does not follow a repeatable item in "*a" at "*a"',
  'location ~ [z-a] {}': 'pcre2_compile() failed: range out of order in character class in "[z-a]" at "a]"',
  'location ~ "a{3,2}" {}': 'pcre2_compile() failed: numbers out of order in {} quantifier in "a{3,2}" at "}"',
  'location ~ [[:foo:]] {}': 'pcre2_compile() failed: unknown POSIX class name in "[[:foo:]]" at "foo:]]"',
  'location ~ (?<host>a) {}': 'the duplicate "host" variable',
  'location / { limit_except FOO {} }': 'invalid method "FOO"',
  'location / { limit_except GET {} limit_except PUT {} }': '"limit_except" directive is duplicate',
  'location / { root /a; alias /b; }': '"alias" directive is duplicate, "root" directive was specified earlier',
  'location / { alias /a; root /b; }': '"root" directive is duplicate, "alias" directive was specified earlier',
  'location @a { alias /a; }': 'the "alias" directive cannot be used inside the named location',
  'alias /a;': '"alias" directive is not allowed here',
  'internal;': '"internal" directive is not allowed here',
  'try_files /a =x;': 'invalid code "=x"',
  'try_files /a =1000;': 'invalid code "=1000"',
  'try_files /a;': 'invalid number of arguments in "try_files" directive',
  'return x;': 'invalid return code "x"',
  'return 1000;': 'invalid return code "1000"',
  'return http://a b;': 'invalid return code "http://a"',
  'rewrite a "";': 'empty replacement',
  'rewrite a b c;': 'invalid parameter "c"',
  'rewrite ( b;': 'pcre2_compile() failed: missing closing parenthesis in "("',
  'set x y;': 'invalid variable name "x"',
  'set $ y;': 'invalid variable name "$"',
  'set $host y;': 'the duplicate "host" variable',
  'set $x $nosuch;': 'unknown "nosuch" variable',
  'set $x "a$";': 'invalid variable name',
  'set $x "${";': 'invalid variable name',
  'set $x "${}";': 'invalid variable name',
  'set $x "${a-b}";': 'the closing bracket in "a" variable is missing',
  'if a {}': 'invalid condition "a"',
  'if ($host = a {}': 'invalid condition "a"',
  'if ($host foo bar) {}': 'unexpected "foo" in condition',
  'if ($host =) {}': 'invalid condition "$host"',
  'if (-z a) {}': 'invalid condition "-z"',
  'if (-f) {}': 'invalid condition "-f"',
  'if (a = b) {}': 'invalid condition "a"',
  'if ($host ~ ( ) {}': 'pcre2_compile() failed: missing closing parenthesis in "("',
  'if ($nosuch) {}': 'unknown "nosuch" variable',
  'if ($host) { proxy_pass http://127.0.0.1; }': '"proxy_pass" directive is not allowed here',
  'if ($host) { if ($host) {} }': '"if" directive is not allowed here',
});

add(inLocation)({
  'proxy_pass foo;': 'invalid URL prefix',
  'proxy_pass http://;': 'no host in upstream ""',
  'proxy_pass http://127.0.0.1:x;': 'invalid port in upstream "127.0.0.1:x"',
  'proxy_pass http://127.0.0.1:/;': 'invalid port in upstream "127.0.0.1:/"',
  'proxy_pass http://unix:;': 'no path in the unix domain socket in upstream "unix:"',
  'proxy_pass http://no.such.host.invalid;': 'host not found in upstream "no.such.host.invalid"',
  'proxy_pass http://$nosuch;': 'unknown "nosuch" variable',
  'proxy_pass http://127.0.0.1; proxy_pass http://127.0.0.1;': '"proxy_pass" directive is duplicate',
  'proxy_pass http://$host; proxy_redirect default;':
    '"proxy_redirect default" cannot be used with "proxy_pass" directive with variables',
  'if ($host) { proxy_pass http://127.0.0.1/a; }':
    '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, or inside ' +
    '"if" statement, or inside "limit_except" block',
  'limit_except GET { proxy_pass http://127.0.0.1/a; }':
    '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location, or inside ' +
    '"if" statement, or inside "limit_except" block',
  'proxy_pass https://127.0.0.1; proxy_ssl_verify on;': 'no proxy_ssl_trusted_certificate for proxy_ssl_verify',
  'proxy_pass https://127.0.0.1; proxy_ssl_certificate a;':
    'no "proxy_ssl_certificate_key" is defined for certificate "a"',
});

// ------------------------------------------------------------------------------------------------------------ upstream
add(inUpstream)({
  '': 'no servers are inside upstream',
  'zone "" 64k; server 127.0.0.1;': 'invalid zone name ""',
  'zone z x; server 127.0.0.1;': 'invalid zone size "x"',
  'zone z 31k; server 127.0.0.1;': 'zone "z" is too small',
  'zone z; server 127.0.0.1;': 'zero size shared memory zone "z"',
  'zone z 64k; zone z 65k; server 127.0.0.1;':
    'the size 66560 of shared memory zone "z" conflicts with already declared size 65536',
  'hash $host foo; server 127.0.0.1;': 'invalid parameter "foo"',
  'hash $nosuch; server 127.0.0.1;': 'unknown "nosuch" variable',
  'ip_hash x; server 127.0.0.1;': 'invalid number of arguments in "ip_hash" directive',
  'least_time foo; server 127.0.0.1;': 'invalid value "foo"',
  'least_time header foo; server 127.0.0.1;': 'invalid parameter "foo"',
  'least_time header; least_time header; server 127.0.0.1;': '"least_time" directive is duplicate',
  'random three; server 127.0.0.1;': 'invalid parameter "three"',
  'random two foo; server 127.0.0.1;': 'invalid parameter "foo"',
  'keepalive x; server 127.0.0.1;': 'invalid value "x" in "keepalive" directive',
  'keepalive 1 foo; server 127.0.0.1;': 'invalid parameter "foo"',
  'keepalive 1; keepalive 1; server 127.0.0.1;': '"keepalive" directive is duplicate',
  'keepalive_requests x;': '"keepalive_requests" directive invalid number',
  'keepalive_requests 1; keepalive_requests 1;': '"keepalive_requests" directive is duplicate',
  'keepalive_time x;': '"keepalive_time" directive invalid value',
  'keepalive_timeout x;': '"keepalive_timeout" directive invalid value',
  'resolver 127.0.0.1; resolver 127.0.0.1;': '"resolver" directive is duplicate',
  'resolver_timeout x;': '"resolver_timeout" directive invalid value',
  'sticky foo bar;': 'unknown parameter "foo"',
  'sticky cookie "";': '"sticky" directive empty cookie name',
  'sticky cookie a; sticky cookie b;': '"sticky" directive is duplicate',
  'sticky cookie a domain=x domain=x;': '"sticky" directive parameter "domain" is duplicate',
  'sticky cookie a path=x path=x;': '"sticky" directive parameter "path" is duplicate',
  'sticky cookie a expires=1 expires=1;': '"sticky" directive parameter "expires" is duplicate',
  'sticky cookie a httponly httponly;': '"sticky" directive parameter "httponly" is duplicate',
  'sticky cookie a secure secure;': '"sticky" directive parameter "secure" is duplicate',
  'sticky cookie a samesite=lax samesite=lax;': '"sticky" directive parameter "samesite" is duplicate',
  'sticky cookie a domain=;': '"sticky" directive no value for "domain"',
  'sticky cookie a path=;': '"sticky" directive no value for "path"',
  'sticky cookie a expires=1ms;': '"sticky" directive invalid "expires" parameter value',
  'sticky cookie a samesite=x;': '"sticky" directive invalid "samesite" parameter value',
  'sticky cookie a foo;': 'unknown parameter "foo"',
  'sticky route x;': 'invalid variable name "x"',
  'sticky route $;': 'invalid variable name "$"',
  'sticky learn zone=a:1m zone=a:1m;': '"sticky" directive duplicate zone',
  'sticky learn zone=a;': '"sticky" directive zone size is not specified',
  'sticky learn zone=:1m;': '"sticky" directive zone name is not specified',
  'sticky learn zone=a:x;': '"sticky" directive invalid zone size',
  'sticky learn zone=a:1k;': '"sticky" directive zone is too small',
  'sticky learn timeout=1s timeout=1s;': '"sticky" directive duplicate timeout',
  'sticky learn timeout=0;': '"sticky" directive invalid timeout',
  'sticky learn create=x;': '"sticky" directive missing variable in the "create" parameter',
  'sticky learn lookup=x;': '"sticky" directive missing variable in the "lookup" parameter',
  'sticky learn header;': '"sticky" directive "lookup" parameter is not specified',
  'sticky learn lookup=$host;': '"sticky" directive "create" parameter is not specified',
  'sticky learn lookup=$host create=$host;': '"sticky" directive "zone" parameter is not specified',
  'sticky learn sync;': 'unknown parameter "sync"',
  'zone z 64k; sticky learn lookup=$host create=$host zone=z:64k;':
    'the shared memory zone "z" is already declared for a different use',
  'server 127.0.0.1 weight=0;': 'invalid parameter "weight=0"',
  'server 127.0.0.1 weight=x;': 'invalid parameter "weight=x"',
  'server 127.0.0.1 max_conns=x;': 'invalid parameter "max_conns=x"',
  'server 127.0.0.1 max_fails=x;': 'invalid parameter "max_fails=x"',
  'server 127.0.0.1 fail_timeout=10ms;': 'invalid parameter "fail_timeout=10ms"',
  'server 127.0.0.1 foo;': 'invalid parameter "foo"',
  'hash $host; server 127.0.0.1 backup;': 'balancing method does not support parameter "backup"',
  'ip_hash; server 127.0.0.1 backup;': 'balancing method does not support parameter "backup"',
  'random; server 127.0.0.1 backup;': 'balancing method does not support parameter "backup"',
  'server 127.0.0.1 route=;': 'route is empty',
  [`server 127.0.0.1 route=${'x'.repeat(33)};`]: 'route is longer than 32',
  'server 127.0.0.1 service=;': 'service is empty',
  'server a.test service=http;': 'service upstream "a.test" requires "resolve" parameter',
  'server a.test:80 service=http resolve;': 'service upstream "a.test:80" may not have port',
  'server 127.0.0.1 service=http resolve;': 'service upstream "127.0.0.1" requires domain name',
  'server 127.0.0.1:x;': 'invalid port in upstream "127.0.0.1:x"',
  'server 127.0.0.1/x;': 'invalid host in upstream "127.0.0.1/x"',
  'server "";': 'no host in upstream ""',
  'server [::1;': 'invalid host in upstream "[::1"',
  'server [::x];': 'invalid IPv6 address in upstream "[::x]"',
  'server unix:;': 'no path in the unix domain socket in upstream "unix:"',
  'server no.such.host.invalid;': 'host not found in upstream "no.such.host.invalid"',
  'server 127.0.0.1 backup;': 'no servers in upstream "u"',
});

const LEARN = 'sticky learn create=$host lookup=$host zone=z:64k;';
const proxyTo = (target: string): string => `server { listen 8098; location / { proxy_pass ${target}; } }`;
add(inHttp)({
  'upstream u { server 127.0.0.1; } upstream U { server 127.0.0.1; }': 'duplicate upstream "U"',
  [`upstream u { server 127.0.0.1; } ${proxyTo('http://u:8080')}`]: 'upstream "u" may not have port 8080',
  [`${proxyTo('http://u:8080')} upstream u { server 127.0.0.1; }`]: 'upstream "u" may not have port 8080',
  'upstream u { server a.test resolve; }':
    'resolving names at run time requires upstream "u" in /t/conf/nginx.conf:3 to be in shared memory',
  'upstream u { zone z 64k; server a.test resolve; }':
    'no resolver defined to resolve names at run time in upstream "u" in /t/conf/nginx.conf:3',
  [`upstream u { server 127.0.0.1; ${LEARN} } upstream v { server 127.0.0.1; ${LEARN} }`]:
    'sticky zone "z" is already used in upstream "u"',
  'upstream u { server 127.0.0.1; zone z 64k; } upstream v { server 127.0.0.1; zone z 65k; }':
    'the size 66560 of shared memory zone "z" conflicts with already declared size 65536',
});

// ------------------------------------------------------------------------------------------- NGINX Plus, and our own
add(
  inUpstream,
  true,
)({
  'queue 0; server 127.0.0.1;': 'invalid value "0" in "queue" directive',
  'queue 1 foo; server 127.0.0.1;': 'invalid parameter "foo"',
  'queue 1; queue 1; server 127.0.0.1;': '"queue" directive is duplicate',
  'ntlm; ntlm;': '"ntlm" directive is duplicate',
  'hash $host; server 127.0.0.1 slow_start=1s;': 'balancing method does not support parameter "slow_start=1s"',
  'server 127.0.0.1 slow_start=x;': 'invalid parameter "slow_start=x"',
  'state f; server 127.0.0.1;': '"state" directive cannot be used together with "server" directives',
  'random two least_time=foo; server 127.0.0.1;': 'invalid parameter "least_time=foo"',
});
add(
  inServer,
  true,
)({
  'location ~ (?>a)(b) {}':
    'pcre2_compile() failed: an atomic group or possessive quantifier with or before a capturing group is not ' +
    'supported by JavaScript regular expressions in "(?>a)(b)" at "(b)"',
  'location ~ a\\Kb {}':
    'pcre2_compile() failed: \\K is not supported by JavaScript regular expressions in "a\\Kb" at "\\Kb"',
  'ssl_certificate x.crt; ssl_certificate_key x.key;':
    'cannot load certificate "/t/conf/x.crt": BIO_new_file() failed (2: No such file or directory)',
});

add(
  inHttp,
  true,
)({
  'keyval_zone type=ip;': '"keyval_zone" must have "zone" parameter',
  'keyval_zone zone=one;': 'invalid zone size "zone=one"',
  'keyval_zone zone=one:x;': 'invalid zone size "zone=one:x"',
  'keyval_zone zone=:64k;': 'invalid zone name "zone=:64k"',
  'keyval_zone zone=one:16k;': 'zone "zone=one:16k" is too small',
  'keyval_zone zone=one:64k type=number;': 'invalid type "type=number", it must be "string", "ip" or "prefix"',
  'keyval_zone zone=one:64k timeout=x;': 'invalid timeout value "timeout=x"',
  'keyval_zone zone=one:64k timeout=0;': 'invalid timeout value "timeout=0"',
  'keyval_zone zone=one:64k state=;': 'invalid parameter "state="',
  'keyval_zone zone=one:64k sync;': '"sync" requires "timeout"',
  'keyval_zone zone=one:64k foo;': 'invalid parameter "foo"',
  'keyval_zone zone=one:64k; keyval_zone zone=one:64k;': 'duplicate keyval_zone "one"',
  'keyval_zone zone=one:64k state=f; keyval_zone zone=two:64k state=f;':
    'state file "/t/f" is already used by keyval_zone "one"',
  'keyval_zone zone=one:64k; limit_conn_zone $uri zone=one:64k;':
    'the shared memory zone "one" is already declared for a different use',
  'keyval $uri $text zone=none;': 'zero size shared memory zone "none"',
  'keyval_zone zone=one:64k; keyval $uri text zone=one;': 'invalid variable name "text"',
  'keyval_zone zone=one:64k; keyval $uri $host zone=one;': 'the duplicate "host" variable',
  'keyval_zone zone=one:64k; keyval $nonsense $text zone=one;': 'unknown "nonsense" variable',
  'keyval_zone zone=one:64k; keyval $uri $text one;': 'invalid parameter "one"',
  'keyval_zone zone=one:64k; keyval $uri $text;': 'invalid number of arguments in "keyval" directive',
});
add(
  inServer,
  true,
)({
  'keyval_zone zone=one:64k;': '"keyval_zone" directive is not allowed here',
  'keyval $uri $text zone=one;': '"keyval" directive is not allowed here',
});

export const ERROR_CASES: readonly ErrorCase[] = cases;
