/** What the servers answer by themselves: locations, rewrites, returns, error pages, files, headers, hosts. */
import { bytes } from './compare.ts';
import type { Configuration } from './compare.ts';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz';
/** Of the files: see `FILE_TIME`. */
const MODIFIED = 'Fri, 02 Jan 2026 03:04:05 GMT';

export const SERVING: readonly Configuration[] = [
  {
    name: 'the choice of a location',
    http: `server {
      listen 127.0.0.1:%%MAIN%%;
      location / { return 200 "root $uri"; }
      location = / { return 200 "exact root"; }
      location = /exact { return 200 "exact"; }
      location /exact/ { return 200 "below exact"; }
      location ^~ /images/ { return 200 "images $uri"; }
      location ~* \\.(gif|jpg)$ { return 200 "picture $1"; }
      location ~ ^/user/(?<name>\\w+)/(\\d+)$ { return 200 "user $name $2"; }
      location ~ \\.PHP$ { return 200 "php"; }
      location /nested { return 200 "nested"; location /nested/deep { return 200 "deep"; }
        location ~ \\.x$ { return 200 "nested x"; } location = /nested/is { return 200 "nested exact"; } }
      location "/white space" { return 200 "space $uri"; }
      location /pre { return 200 "pre"; } location /prefix { return 200 "prefix"; } location /prefix/long/ { return 200 "long"; }
      location ~ ^/(a+)b { return 200 "$1"; } location /case { return 200 "case"; }
    }`,
    cases: [
      ['GET /'],
      ['GET /?x=1'],
      ['GET /exact'],
      ['GET /exact/'],
      ['GET /exact/a'],
      ['GET /exactly'],
      ['GET /images/a.gif'],
      ['GET /other/a.GIF'],
      ['GET /user/joe/42'],
      ['GET /user/joe/x'],
      ['GET /a.php'],
      ['GET /a.PHP'],
      ['GET /nested'],
      ['GET /nested/deep/er'],
      ['GET /nested/a.x'],
      ['GET /nested/is'],
      ['GET /nested/deep/a.x'],
      ['GET /white%20space/%41'],
      ['GET /prefi'],
      ['GET /prefixes'],
      ['GET /prefix/long/er'],
      ['GET /prefix/long'],
      ['GET /aaab'],
      ['GET /CASE'],
      ['GET /a/../exact'],
      ['GET //exact'],
      ['GET /./exact'],
      ['GET /%65xact'],
      ['GET /exact%2f'],
      ['GET /x/../../y'],
      ['GET /a%00b'],
      ['GET /a%zz'],
      ['GET /exact#part'],
      ['GET /exact?a=/../b'],
      ['GET /images/../a.gif'],
      ['GET http://other/exact'],
      ['GET http://other'],
    ],
  },
  {
    name: 'rewrite, set, if, return',
    http: `server {
      listen 127.0.0.1:%%MAIN%%; server_name localhost;
      set $where "server";
      rewrite ^/first/(.*)$ /second/$1?from=first;
      rewrite ^/gone/(.*)$ /there/$1? permanent;
      rewrite ^/found/(.*)$ http://elsewhere.example/$1 redirect;
      rewrite ^/(\\d+)-(\\d+)$ /numbers/$2/$1 last;
      location /second/ { return 200 "$uri $args $where"; }
      location /numbers/ { rewrite ^/numbers/(.*)$ /loop/$1 break; return 200 "$uri"; }
      location /loop/ { return 200 "never"; }
      location /endless { rewrite ^ /endless last; }
      location /if {
        set $v "";
        if ($arg_a) { set $v "a=$arg_a"; }
        if ($arg_a = "one") { set $v "$v one"; }
        if ($arg_a != "one") { set $v "$v not"; }
        if ($request_method = POST) { return 405; }
        if ($http_user_agent ~* (\\w+)bot) { return 403 "bot $1"; }
        if ($args !~ x) { set $v "$v nox"; }
        return 200 "v=$v";
      }
      location /add { add_header X-Outer 1; if ($arg_b) { add_header X-Inner 2; return 204; } return 200 ok; }
      location /301 { return 301 /new$is_args$args; }
      location /302 { return 302 http://x.example/; }
      location /303 { return 303 "rel"; }
      location /307 { return 307 /seven; }
      location /308 { return 308 /eight; }
      location /url { return http://y.example/z; }
      location /201 { return 201 made; }
      location /204 { return 204; }
      location /400 { return 400; } location /404 { return 404 "not here"; } location /418 { return 418; }
      location /444 { return 444; } location /503 { return 503; } location /599 { return 599 "odd"; }
      location /type { default_type application/json; return 200 '{"a":"$arg_a"}'; }
      location /dollar { set $d "\${uri}x"; return 200 "$d"; }
      location /caps { if ($uri ~ "^/caps/(.)(.)") { return 200 "$2$1"; } return 200 none; }
    }`,
    cases: [
      ['GET /first/x'],
      ['GET /first/x?q=1'],
      ['GET /gone/a?b=c'],
      ['GET /found/a%20b'],
      ['GET /found/a?q'],
      ['GET /12-34'],
      ['GET /endless'],
      ['GET /if'],
      ['GET /if?a=one'],
      ['GET /if?a=two&x'],
      ['POST /if', '', 'body'],
      ['GET /if', 'User-Agent: somebot/1'],
      ['GET /add'],
      ['GET /add?b=1'],
      ['GET /301?x=y'],
      ['GET /302'],
      ['GET /303'],
      ['GET /307'],
      ['GET /308'],
      ['GET /url'],
      ['GET /201'],
      ['GET /204'],
      ['GET /400'],
      ['GET /404'],
      ['GET /418'],
      ['GET /444'],
      ['GET /503'],
      ['GET /599'],
      ['GET /type?a=b'],
      ['HEAD /type?a=b'],
      ['GET /dollar'],
      ['GET /caps/ab'],
      ['GET /caps/'],
      ['GET /301', 'Host: Some.Host:81'],
      ['HEAD /404'],
      ['HEAD /503'],
      ['GET /201 HTTP/1.0'],
      ['GET /gone/%2f'],
    ],
  },
  {
    name: 'error pages',
    files: { 'html/missing.html': 'custom 404', 'html/oops.html': 'oops', 'html/a.html': 'a' },
    http: `server {
      listen 127.0.0.1:%%MAIN%%;
      error_page 404 /missing.html;
      error_page 500 502 504 /oops.html;
      location / { root html; }
      location /as200 { error_page 404 =200 /a.html; root html; }
      location /as { error_page 404 = /answer; root html; }
      location /answer { return 203 "answer $request_uri $uri"; }
      location /named { error_page 404 = @named; root html; }
      location @named { return 200 "named $uri"; }
      location /away { error_page 403 https://login.example/?u=$uri; return 403; }
      location /301 { error_page 404 =301 /other; root html; }
      location /refused { proxy_pass http://127.0.0.1:%%NOBODY%%/; }
      location /notry { error_page 404 /none.html; root html; }
      location /twice { error_page 404 /again; root html; }
      location = /again { return 404; }
      location /internal { internal; return 200 inside; }
      location /toinside { error_page 418 =200 /internal; return 418; }
      location /headers { add_header X-A 1; add_header X-B 2 always; return 404; }
    }`,
    cases: [
      ['GET /none'],
      ['HEAD /none'],
      ['GET /as200/x'],
      ['GET /as/x?y'],
      ['GET /named/x'],
      ['GET /away/a'],
      ['GET /301/x'],
      ['GET /refused'],
      ['GET /notry/x'],
      ['GET /twice/x'],
      ['GET /internal'],
      ['GET /toinside'],
      ['GET /headers'],
      ['POST /none', '', 'abc'],
      ['GET /missing.html'],
      ['GET /none HTTP/1.0'],
      ['PUT /a.html', '', 'x'],
    ],
  },
  {
    name: 'files: ranges and conditions',
    files: {
      'html/a.txt': ALPHABET,
      'html/index.html': '<p>index</p>',
      'html/dir/index.htm': 'second index',
      'html/empty/.keep': '',
      'html/zero.txt': '',
      'html/big.bin': Buffer.alloc(300_000, 'x'),
      'html/no-extension': 'plain',
      'html/with space.txt': 'space',
      'html/a.svg': '<svg/>',
    },
    http: `types { text/html html htm; text/plain txt; image/svg+xml svg; } default_type application/octet-stream;
    server {
      listen 127.0.0.1:%%MAIN%%; server_name localhost; root html; index index.html index.htm;
      location /alias/ { alias html/dir/; }
      location /one { root html; max_ranges 1; try_files /a.txt =404; }
      location /noranges { max_ranges 0; try_files /a.txt =404; }
      location /noetag { etag off; try_files /a.txt =404; }
      location /try { try_files $uri /dir/index.htm; }
      location /trydir { try_files $uri/ /dir/ =404; }
      location /fallback { try_files /nope @fallback; }
      location @fallback { return 200 "fell back from $uri"; }
      location /code { try_files /nope =410; }
      location /expires { expires epoch; try_files /a.txt =404; }
      location /noexp { expires off; add_header Cache-Control public; try_files /a.txt =404; }
      location /exact { if_modified_since exact; try_files /a.txt =404; }
      location /before { if_modified_since before; try_files /a.txt =404; }
      location /off { if_modified_since off; try_files /a.txt =404; }
    }`,
    cases: [
      ['GET /a.txt'],
      ['HEAD /a.txt'],
      ['GET /'],
      ['GET /dir'],
      ['GET /dir/'],
      ['GET /dir?x=1'],
      ['GET /empty/'],
      ['GET /zero.txt'],
      ['GET /no-extension'],
      ['GET /with%20space.txt'],
      ['GET /a.svg'],
      ['GET /none.txt'],
      ['GET /a.txt/'],
      ['GET /a.txt/x'],
      ['GET /alias/index.htm'],
      ['GET /alias/'],
      ['GET /alias/none'],
      ['GET /big.bin'],
      ['GET /big.bin', 'Range: bytes=299990-'],
      ['GET /a.txt', 'Range: bytes=0-0'],
      ['GET /a.txt', 'Range: bytes=3-7'],
      ['GET /a.txt', 'Range: bytes=-5'],
      ['GET /a.txt', 'Range: bytes=20-'],
      ['GET /a.txt', 'Range: bytes=20-99'],
      ['GET /a.txt', 'Range: bytes=26-'],
      ['GET /a.txt', 'Range: bytes=5-3'],
      ['GET /a.txt', 'Range: bytes=0-1,5-6'],
      ['GET /a.txt', 'Range: bytes=0-1, -2'],
      ['GET /a.txt', 'Range: bytes=0-25'],
      ['GET /a.txt', 'Range: bytes=-100'],
      ['GET /a.txt', 'Range: items=0-1'],
      ['GET /a.txt', 'Range: bytes=a-b'],
      ['GET /a.txt', 'Range: bytes=0-1,99-'],
      ['GET /a.txt', 'Range: bytes=-0'],
      ['GET /a.txt', 'Range: bytes=0-9,0-9,0-9'],
      ['GET /one', 'Range: bytes=0-1,3-4'],
      ['GET /noranges', 'Range: bytes=0-1'],
      ['HEAD /a.txt', 'Range: bytes=0-1'],
      ['GET /a.txt', `If-Modified-Since: ${MODIFIED}`],
      ['GET /a.txt', 'If-Modified-Since: Sat, 03 Jan 2026 03:04:05 GMT'],
      ['GET /a.txt', 'If-Modified-Since: nonsense'],
      ['GET /exact', 'If-Modified-Since: Sat, 03 Jan 2026 03:04:05 GMT'],
      ['GET /before', 'If-Modified-Since: Sat, 03 Jan 2026 03:04:05 GMT'],
      ['GET /off', `If-Modified-Since: ${MODIFIED}`],
      ['GET /a.txt', `If-Unmodified-Since: ${MODIFIED}`],
      ['GET /a.txt', 'If-Unmodified-Since: Thu, 01 Jan 2026 03:04:05 GMT'],
      ['GET /a.txt', 'If-None-Match: *'],
      ['GET /a.txt', 'If-None-Match: "no", W/"none"'],
      ['GET /a.txt', 'If-Match: "no"'],
      ['GET /a.txt', 'If-Match: *'],
      ['GET /a.txt', 'If-None-Match: "69573615-1a"'],
      ['GET /a.txt', 'If-None-Match: W/"69573615-1a"'],
      ['GET /a.txt', 'If-Match: "69573615-1a"'],
      ['GET /a.txt', 'Range: bytes=1-2', 'If-Range: "69573615-1a"'],
      ['GET /a.txt', 'Range: bytes=1-2', 'If-Range: "other"'],
      ['GET /a.txt', 'Range: bytes=1-2', `If-Range: ${MODIFIED}`],
      ['GET /a.txt', 'Range: bytes=1-2', 'If-Range: Thu, 01 Jan 2026 03:04:05 GMT'],
      ['POST /a.txt', '', 'x'],
      ['DELETE /a.txt'],
      ['OPTIONS /a.txt'],
      ['GET /noetag'],
      ['GET /try/x'],
      ['GET /try'],
      ['GET /trydir'],
      ['GET /fallback/x'],
      ['GET /code'],
      ['GET /expires'],
      ['GET /noexp'],
      ['GET /a%2etxt'],
      ['GET /dir/../a.txt'],
      ['GET /dir/%2e%2e/a.txt'],
      ['GET /../a.txt'],
    ],
  },
  {
    name: 'headers of answers',
    files: { 'html/a.html': 'abc' },
    http: `add_header X-Http http; server {
      listen 127.0.0.1:%%MAIN%%; root html;
      location / { }
      location /own { add_header X-Own "$arg_v"; add_header X-Empty ""; add_header X-Always yes always; return 200 ok; }
      location /error { add_header X-Own own; add_header X-Always yes always; return 404; }
      location /kept { add_header X-Two 1; add_header X-Two 2; return 200; }
      location /late { add_header Last-Modified "Mon, 01 Jan 2001 00:00:00 GMT"; try_files /a.html =404; }
      location /nolast { add_header Last-Modified ""; try_files /a.html =404; }
      location /cache { expires -1; return 200 x; }
      location /max { expires max; return 200 x; }
      location /304 { add_header ETag-Like x; try_files /a.html =404; }
      location /keep { keepalive_timeout 0; return 200 ok; }
      location /hint { keepalive_timeout 10s 7s; return 200 ok; }
      location /reset { reset_timedout_connection on; return 200 "$connection_requests"; }
    }`,
    cases: [
      ['GET /a.html'],
      ['GET /own?v=1'],
      ['GET /own'],
      ['GET /error'],
      ['GET /kept'],
      ['GET /late'],
      ['GET /nolast'],
      ['GET /max'],
      ['GET /304', `If-Modified-Since: ${MODIFIED}`],
      ['GET /keep', 'Connection: keep-alive'],
      bytes('GET /hint HTTP/1.1\r\nHost: a\r\n\r\nGET /reset HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      bytes('GET /hint HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /reset HTTP/1.0\r\n\r\n'),
    ],
  },
  {
    name: 'virtual hosts',
    http: `
      server { listen 127.0.0.1:%%MAIN%%; server_name first.example; location / { return 200 "first $host $server_name"; } }
      server { listen 127.0.0.1:%%MAIN%%; server_name second.example *.second.example; location / { return 200 "second $host"; } }
      server { listen 127.0.0.1:%%MAIN%%; server_name .third.example mail.*; location / { return 200 "third $host"; } }
      server { listen 127.0.0.1:%%MAIN%%; server_name ~^(?<sub>\\w+)\\.fourth\\.example$; location / { return 200 "fourth $sub"; } }
      server { listen 127.0.0.1:%%MAIN%%; server_name ""; location / { return 200 "nameless"; } }
      server { listen 127.0.0.1:%%MAIN%% default_server; server_name _; location / { return 200 "default $host $http_host"; } }
      server { listen 127.0.0.1:%%SIDE%%; server_name first.example; location / { return 200 "side $server_port"; } }`,
    cases: [
      ['GET /', 'Host: first.example'],
      ['GET /', 'Host: FIRST.example:99'],
      ['GET /', 'Host: a.second.example'],
      ['GET /', 'Host: second.example.'],
      ['GET /', 'Host: a.b.second.example'],
      ['GET /', 'Host: third.example'],
      ['GET /', 'Host: x.third.example'],
      ['GET /', 'Host: mail.any.where'],
      ['GET /', 'Host: abc.fourth.example'],
      ['GET /', 'Host: a.b.fourth.example'],
      ['GET /', 'Host: unknown'],
      ['GET /', 'Host:'],
      ['GET http://first.example/ HTTP/1.1', 'Host: third.example'],
      bytes('GET / HTTP/1.0\r\n\r\n'),
      bytes('GET / HTTP/1.1\r\n\r\n'),
      ['GET /', 'Host: [::1]:80'],
      ['GET /', 'Host: 127.0.0.1'],
      ['GET /', 'Host: bad/host'],
      ['GET /', 'Host: a b'],
      bytes('GET / HTTP/1.1\r\nHost: first.example\r\nHost: second.example\r\n\r\n'),
      ['GET /', 'Host: mail.third.example'],
    ],
  },
  {
    name: 'map and variables',
    http: `
      map $arg_m $mapped { default other; "" empty; one 1; ~^t(?<rest>.*)$ "re:$rest"; *.example wild; hostnames; www.* start; }
      map $uri $chained { default $mapped; /fixed fixed; }
      map $http_x_list $volatile { volatile; default "d:$http_x_list"; ~*a A; }
      log_format unused '$remote_addr';
      server {
        listen 127.0.0.1:%%MAIN%%; server_name localhost;
        location / { return 200 "$mapped|$chained|$volatile"; }
        location /vars { return 200 "$request|$request_method|$request_uri|$uri|$args|$is_args|$arg_a|$arg_A|$query_string|$document_uri"; }
        location /more { return 200 "$scheme|$server_protocol|$server_addr:$server_port|$remote_addr|$host|$http_host|$content_length|$content_type"; }
        location /cookies { return 200 "$cookie_a|$cookie_b|$http_cookie|$http_x_a|$http_user_agent|$http_referer"; }
        location /sizes { return 200 "$request_length|$connection_requests|$pipe|$https" ; }
        location /root { root /some; return 200 "$document_root|$request_filename"; }
        location /sent { add_header X-Sent "$sent_http_content_type|$status"; return 200 x; }
      }`,
    cases: [
      ['GET /'],
      ['GET /?m=one'],
      ['GET /?m=ONE'],
      ['GET /?m=two'],
      ['GET /?m=a.example'],
      ['GET /?m=www.x'],
      ['GET /fixed?m=one'],
      ['GET /', 'X-List: xax'],
      ['GET /vars?a=1&A=2'],
      ['GET /vars'],
      ['GET /vars?'],
      ['GET /vars/%41?%42'],
      ['GET /more'],
      ['POST /more', 'Content-Type: text/x', '', 'abc'],
      ['GET /cookies', 'Cookie: a=1; b=2'],
      ['GET /cookies', 'Cookie: a=1', 'Cookie: b=3'],
      ['GET /cookies', 'X-A: 1', 'User-Agent: u', 'Referer: r'],
      ['GET /sizes'],
      ['GET /root/x'],
      ['GET /sent'],
      ['HEAD /vars?a'],
    ],
  },
];
