/** What goes to a backend and what comes back from it: the backend answers with what it was asked. */
import { bytes } from './compare.ts';
import type { Configuration } from './compare.ts';

/** Defaults changed between versions: what they were, and what they are now, is said for both. */
const COMMON = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $proxy_host;';

export const PROXYING: readonly Configuration[] = [
  {
    name: 'the mapping of URIs',
    http: `${COMMON} upstream group { server 127.0.0.1:%%ECHO%%; }
    server {
      listen 127.0.0.1:%%MAIN%%; server_name localhost;
      location / { proxy_pass http://group; }
      location /cut/ { proxy_pass http://group/; }
      location /part/ { proxy_pass http://group/other/; }
      location /glue { proxy_pass http://group/glued; }
      location /noslash/ { proxy_pass http://group/x; }
      location = /exact { proxy_pass http://group/exactly; }
      location ~ ^/re/(.*)$ { proxy_pass http://group/$1; }
      location ~ ^/plain { proxy_pass http://group; }
      location /var { set $to group; proxy_pass http://$to; }
      location /varuri { set $to group; proxy_pass http://$to/fixed$uri; }
      location /rewritten { rewrite ^/rewritten/(.*)$ /re-$1 break; proxy_pass http://group; }
      location /rewcut/ { rewrite ^/rewcut/(.*)$ /rewcut/new/$1 break; proxy_pass http://group/base/; }
      location /args { set $args "a=b&$args"; proxy_pass http://group; }
      location /query/ { proxy_pass http://group/q?fixed=1; }
      location /addr/ { proxy_pass http://127.0.0.1:%%ECHO%%/addr/; }
      location /if { proxy_pass http://group; if ($arg_x) { proxy_pass http://group; } }
      location "/sp ace/" { proxy_pass http://group/s/; }
    }`,
    cases: [
      ['GET /'],
      ['GET /a?b=c'],
      ['GET /cut/'],
      ['GET /cut/x/y?z'],
      ['GET /part/x%20y'],
      ['GET /part/%2f%3f?%2f'],
      ['GET /glue/x'],
      ['GET /gluey'],
      ['GET /noslash/y'],
      ['GET /exact?q=1'],
      ['GET /re/a/b?c=d'],
      ['GET /plain/%41%2f?x'],
      ['GET /var/x%20y?z'],
      ['GET /varuri/x?y'],
      ['GET /rewritten/abc?d=e'],
      ['GET /rewcut/abc'],
      ['GET /args?c'],
      ['GET /args'],
      ['GET /query/x'],
      ['GET /query/x?y'],
      ['GET /addr/x'],
      ['GET /if?x=1'],
      ['GET /sp%20ace/t%C3%A4st'],
      ['GET /x/../cut/y'],
      ['GET //double//slash'],
      ['GET /cut//x'],
      ['GET /cut/../y?z'],
      ['GET /cut/%2e%2e/y'],
      ['GET /%7Etilde'],
      ['GET http://localhost/abs?q'],
      ['GET /a+b%2Bc'],
      ['GET /cut/a+b%2Bc'],
      ['GET /cut/%25'],
      ['GET /cut/%0a'],
      ['GET /?'],
      ['GET /cut/?'],
      ['GET /cut/;p=1'],
      ["GET /cut/'(x)'"],
      ['GET /cut/%C3%A9'],
    ],
  },
  {
    name: 'headers to the backend',
    http: `proxy_http_version 1.1; proxy_set_header Connection "";
    underscores_in_headers off;
    server {
      listen 127.0.0.1:%%MAIN%%; server_name localhost;
      location / { proxy_set_header Connection ""; proxy_set_header Host $host; proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /set/ { proxy_set_header Connection ""; proxy_set_header Host "h:$http_host"; proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Gone ""; proxy_set_header X-Empty $arg_none; proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /none/ { proxy_pass_request_headers off; proxy_set_header Connection ""; proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /nobody/ { proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header Connection ""; proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /ten/ { proxy_http_version 1.0; proxy_set_header Connection close; proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /method/ { proxy_method PUT; proxy_set_header Connection ""; proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /body/ { proxy_set_body "new $arg_b"; proxy_set_header Connection ""; proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /stream/ { proxy_request_buffering off; proxy_set_header Connection ""; proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /small/ { client_max_body_size 10; proxy_set_header Connection ""; proxy_pass http://127.0.0.1:%%ECHO%%; }
    }`,
    cases: [
      ['GET /'],
      ['GET /', 'X-A: 1', 'x-b:2', 'X-C:   3  ', 'X-A: 4'],
      ['GET /', 'Connection: close, X-Hop', 'X-Keep: 1'],
      ['GET /', 'Keep-Alive: timeout=5', 'X-Y: z'],
      ['GET /', 'Accept-Encoding: gzip', 'Accept: */*', 'Cookie: a=b; c=d', 'Cookie: e=f'],
      ['GET /', 'X_Under: score', 'X-Fine: 1'],
      ['GET /set/', 'X-Gone: 1', 'X-Forwarded-For: 1.2.3.4', 'X-Real-IP: forged'],
      ['GET /set/', 'Host: Up.Per:81'],
      ['GET /set/', 'X-Forwarded-For: 1.1.1.1', 'X-Forwarded-For: 2.2.2.2'],
      ['GET /none/', 'X-A: 1'],
      ['POST /nobody/', '', 'abc'],
      ['GET /ten/', 'X-A: 1'],
      ['POST /ten/', '', 'abc'],
      ['GET /method/'],
      ['GET /body/?b=1'],
      ['POST /body/?b=2', '', 'old body'],
      ['POST /', '', 'hello'],
      ['POST /', '', 'hel', 'lo wor', 'ld'],
      ['PUT /', 'Content-Type: text/x', '', ''],
      ['POST /', 'Content-Length: 0'],
      ['DELETE /x'],
      ['PATCH /x', '', '{}'],
      ['OPTIONS /'],
      ['HEAD /'],
      ['PROPFIND /x'],
      ['POST /', 'Transfer-Encoding: chunked', '', '5\r\nhello\r\n0\r\n\r\n'],
      ['POST /', 'Transfer-Encoding: chunked', '', '5;ext=1\r\nhel', 'lo\r\n6\r\n world\r\n0\r\n\r\n'],
      ['POST /stream/', '', 'hello ', 'world'],
      ['POST /stream/', 'Transfer-Encoding: chunked', '', '5\r\nhello\r\n', '3\r\nabc\r\n0\r\n\r\n'],
      ['POST /small/', '', '0123456789'],
      ['POST /small/', '', '0123456789x'],
      ['POST /', 'Expect: 100-continue', '', 'x'],
      ['POST /', 'Transfer-Encoding: chunked', '', '0\r\n\r\n'],
      ['GET /', 'Range: bytes=0-1', 'If-None-Match: "x"'],
      ['GET /', 'Upgrade: websocket', 'Connection: upgrade, close'],
      ['POST / HTTP/1.0', '', 'ten'],
      ['GET /', 'TE: trailers'],
      ['GET /', 'Authorization: Basic eDp5', 'Referer: http://r/', 'User-Agent: ua/1'],
      ['GET /', `X-Long: ${'l'.repeat(3000)}`],
      ['POST /', 'Transfer-Encoding: chunked', '', 'zz\r\nhello\r\n0\r\n\r\n'],
    ],
  },
  {
    name: 'answers of the backend',
    raw: {
      chunked: {
        text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n',
      },
      close: { text: 'HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nuntil the end', close: true },
      old: { text: 'HTTP/1.0 200 Fine\r\nX-A: 1\r\n\r\nold', close: true },
      empty: { text: 'HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n' },
      notmodified: { text: 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n' },
      status: { text: 'HTTP/1.1 418 I am one\r\nContent-Length: 2\r\n\r\nab' },
      odd: { text: 'HTTP/1.1 299 Odd thing\r\nContent-Length: 0\r\n\r\n' },
      noreason: { text: 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab' },
      hop: {
        text: 'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nServer: other\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nX-Accel-Expires: 5\r\nX-Pad: p\r\nContent-Length: 1\r\n\r\nx',
      },
      cookies: {
        text: 'HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/in/; Domain=one.example\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n',
      },
      redirect: { text: 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/there?x\r\nContent-Length: 0\r\n\r\n' },
      relative: { text: 'HTTP/1.1 301 Moved\r\nLocation: /relative\r\nContent-Length: 0\r\n\r\n' },
      refresh: { text: 'HTTP/1.1 200 OK\r\nRefresh: 5; url=http://127.0.0.1/there\r\nContent-Length: 0\r\n\r\n' },
      forbidden: { text: 'HTTP/1.1 403 Forbidden\r\nX-B: 1\r\nContent-Length: 4\r\n\r\nback' },
      missing: { text: 'HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nback' },
      auth: { text: 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 4\r\n\r\nback' },
      nothing: { text: '', close: true },
      cut: { text: 'HTTP/1.1 200 OK\r\nContent-Le', close: true },
      short: { text: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', close: true },
      long: { text: 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef', close: true },
      lf: { text: 'HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nab' },
      early: { text: 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' },
      accel: {
        text: 'HTTP/1.1 200 OK\r\nX-Accel-Redirect: /protected/x?y\r\nContent-Type: text/z\r\nSet-Cookie: k=v\r\nContent-Length: 3\r\n\r\nabc',
      },
      type: {
        text: 'HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nLast-Modified: Mon, 01 Jan 2001 00:00:00 GMT\r\nETag: "e"\r\nContent-Length: 1\r\n\r\nx',
      },
      badchunk: { text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello', close: true },
      error: { text: 'HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops' },
    },
    http: `${COMMON} server {
      listen 127.0.0.1:%%MAIN%%; server_name localhost;
      location /raw/ { proxy_pass http://127.0.0.1:%%ECHO%%; }
      location /protected/ { internal; return 200 "protected $uri $args"; }
      location /red/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; proxy_redirect http://127.0.0.1/ http://public.example/; }
      location /redvar/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; proxy_redirect ~^http://([^/]+)/(.*)$ https://$1.example/$2; }
      location /redoff/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; proxy_redirect off; }
      location /cookie/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; proxy_cookie_domain one.example two.example; proxy_cookie_path /in/ /out/; }
      location /hide/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; proxy_hide_header X-A; proxy_hide_header Set-Cookie; proxy_pass_header Server; }
      location /ignore/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; proxy_ignore_headers X-Accel-Redirect; }
      location /intercept/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; proxy_intercept_errors on; error_page 404 = @own; error_page 401 403 /own; error_page 502 =503 /own; }
      location @own { return 200 "own $uri"; }
      location = /own { return 200 "page"; }
      location /unbuffered/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; proxy_buffering off; }
      location /add/ { proxy_pass http://127.0.0.1:%%ECHO%%/raw/; add_header X-Status $upstream_status; add_header X-Up "$upstream_http_x_a|$upstream_cookie_a" always; expires epoch; }
    }`,
    cases: [
      ...[
        'chunked',
        'close',
        'old',
        'empty',
        'notmodified',
        'status',
        'odd',
        'hop',
        'cookies',
        'redirect',
        'relative',
        'refresh',
        'forbidden',
        'missing',
        'auth',
        'nothing',
        'cut',
        'short',
        'long',
        'accel',
        'type',
        'error',
      ].map((name) => [`GET /raw/${name}`]),
      ['HEAD /raw/type'],
      ['GET /raw/chunked HTTP/1.0'],
      ['GET /raw/close HTTP/1.0'],
      ['GET /red/redirect'],
      ['GET /red/relative'],
      ['GET /red/refresh'],
      ['GET /redvar/redirect'],
      ['GET /redoff/redirect'],
      ['GET /cookie/cookies'],
      ['GET /hide/chunked'],
      ['GET /hide/cookies'],
      ['GET /ignore/accel'],
      ['GET /intercept/missing'],
      ['GET /intercept/forbidden'],
      ['GET /intercept/auth'],
      ['GET /intercept/nothing'],
      ['GET /intercept/error'],
      ['GET /unbuffered/chunked'],
      ['GET /unbuffered/close'],
      ['GET /unbuffered/short'],
      ['GET /add/chunked'],
      ['GET /add/missing'],
      ['GET /add/cookies'],
      ['GET /raw/lf'],
      ['GET /raw/type', 'If-None-Match: "e"'],
      ['GET /raw/type', 'If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT'],
      bytes(
        'GET /raw/chunked HTTP/1.1\r\nHost: a\r\n\r\nGET /raw/type HTTP/1.1\r\nHost: a\r\n\r\nGET /raw/empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ),
    ],
  },
  {
    name: 'retries and dead servers',
    raw: {
      e500: { text: 'HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops' },
      e503: { text: 'HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy' },
      e404: { text: 'HTTP/1.1 404 None\r\nContent-Length: 4\r\n\r\nnone' },
      drop: { text: '', close: true },
    },
    http: `${COMMON} add_header X-Trace "$upstream_addr|$upstream_status" always;
    upstream dead { server 127.0.0.1:%%NOBODY%% max_fails=0; server 127.0.0.1:%%ECHO%% backup; }
    upstream alldead { server 127.0.0.1:%%NOBODY%% max_fails=0; server 127.0.0.1:%%NEVER%% max_fails=0; }
    upstream two { server 127.0.0.1:%%ECHO%% max_fails=0; server 127.0.0.1:%%MAIN%% max_fails=0 backup; }
    upstream down { server 127.0.0.1:%%ECHO%% down; }
    upstream once { server 127.0.0.1:%%NOBODY%%; server 127.0.0.1:%%NEVER%% ; }
    server {
      listen 127.0.0.1:%%MAIN%%; server_name localhost;
      location / { return 200 "second $request_method $request_uri"; }
      location /dead/ { proxy_pass http://dead; }
      location /alldead/ { proxy_pass http://alldead; }
      location /down/ { proxy_pass http://down; }
      location /s500/ { proxy_pass http://two/raw/; proxy_next_upstream error timeout http_500 http_503; }
      location /s404/ { proxy_pass http://two/raw/; proxy_next_upstream http_404; }
      location /post/ { proxy_pass http://two/raw/; proxy_next_upstream error timeout http_500; }
      location /idem/ { proxy_pass http://two/raw/; proxy_next_upstream error timeout http_500 non_idempotent; }
      location /tries/ { proxy_pass http://alldead; proxy_next_upstream_tries 1; }
      location /off/ { proxy_pass http://two/raw/; proxy_next_upstream off; }
      location /once/ { proxy_pass http://once; }
    }`,
    cases: [
      ['GET /dead/x'],
      ['POST /dead/x', '', 'body'],
      ['GET /alldead/'],
      ['GET /down/'],
      ['GET /s500/e500'],
      ['GET /s500/e503'],
      ['GET /s500/e404'],
      ['GET /s404/e404'],
      ['GET /s404/e500'],
      ['GET /post/drop'],
      ['POST /post/e500', '', 'x'],
      ['POST /post/drop', '', 'x'],
      ['POST /idem/e500', '', 'x'],
      ['POST /idem/drop', '', 'x'],
      ['PUT /post/e500', '', 'x'],
      ['GET /tries/'],
      ['GET /off/e500'],
      ['GET /off/drop'],
      ['GET /once/'],
      ['GET /once/'],
    ],
  },
  {
    name: 'odd but valid syntax',
    files: {
      'more/a.conf': 'location /a { return 200 "a"; }',
      'more/b.conf': "location /b { return 200 'b'; }",
      'html/x y/z.txt': 'z',
    },
    http: `
      # a comment; with { braces }
      map $uri $m { default "semi;colon"; /quoted "it's"; }
      server{listen 127.0.0.1:%%MAIN%%;server_name localhost;include more/*.conf;
      location /quotes { return 200 "a \\"b\\" 'c' \\\\ \${uri}"; }
      location /single { return 200 'x "y" $uri'; }
      location
        /lines
        {
          return   200
            "several
lines"   ;   }
      location ~ "^/brace/\\d{2,3}$" { return 200 brace; }
      location /hash { return 200 a#b; } location /m { return 200 "$m"; }
      location /tab	{ return	200	tab; }
      location "/x y" { root html; }
      location /esc { return 200 "tab\\tline\\nend"; }
      location /join { set $a "1"; return 200 "$a.$a-\${a}b"; }
      if ($request_uri ~ "^/iff") { return 200 "iff"; }
      rewrite "^/spa ced/(.*)$" /join last;
      }`,
    cases: [
      ['GET /a'],
      ['GET /b'],
      ['GET /quotes'],
      ['GET /single'],
      ['GET /lines'],
      ['GET /brace/12'],
      ['GET /brace/1'],
      ['GET /hash'],
      ['GET /m'],
      ['GET /tab'],
      ['GET /x%20y/z.txt'],
      ['GET /esc'],
      ['GET /join'],
      ['GET /iff'],
      ['GET /spa%20ced/1'],
      ['GET /quoted/m'],
    ],
  },
  {
    name: 'requests that are wrong or strange',
    http: `${COMMON} client_header_buffer_size 1k; large_client_header_buffers 2 4k; server {
      listen 127.0.0.1:%%MAIN%%; server_name localhost;
      location / { return 200 "ok $request_method $uri"; }
      location /proxy { proxy_pass http://127.0.0.1:%%ECHO%%; }
    }`,
    cases: [
      bytes('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      bytes('\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      bytes('GET / HTTP/2.0\r\n\r\n'),
      bytes('GET / HTTP/1.2\r\nHost: a\r\nConnection: close\r\n\r\n'),
      bytes('BAD\r\n\r\n'),
      bytes('GET / HTTP/1.1\nHost: a\nConnection: close\n\n'),
      bytes('G', 'ET / HT', 'TP/1.1\r\nHo', 'st: a\r\nConnection: close\r', '\n\r\n'),
      ['TRACE /'],
      ['GET /x', 'Content-Length: 1', 'Content-Length: 2'],
      ['POST /x', 'Content-Length: abc'],
      ['POST /x', 'Content-Length: 5', 'Transfer-Encoding: chunked', '', '0\r\n\r\n'],
      ['POST /x', 'Transfer-Encoding: gzip', '', 'x'],
      [`GET /${'u'.repeat(5000)}`],
      ['GET /', `X: ${'h'.repeat(5000)}`],
      ['GET x'],
      ['GET *'],
      bytes(
        'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ),
      bytes(
        'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ),
      bytes(
        'POST /proxy HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /proxy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ),
      bytes(
        'POST /proxy HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ),
      bytes('HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      bytes('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n'),
    ],
  },
];
