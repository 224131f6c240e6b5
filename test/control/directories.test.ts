/** Directories that only root can make are there, and the user's, before workers need them. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { withKongProxy } from '../../src/config/kong/proxy-config.ts';
import { loadNginxConfig } from '../../src/config/nginx/load.ts';
import { makeDirectories } from '../../src/control/directories.ts';
import { directory } from '../helpers/headrace.ts';

test('for temporary files of requests and answers, and what the Kong door keeps', async (t) => {
  const prefix = `${directory(t)}/`;
  const text = `events {} admin { proxy_listen 127.0.0.1:1; data kept; } http { server {
    location / { proxy_pass http://127.0.0.1:1; }
    location /cgi { fastcgi_pass 127.0.0.1:1; client_body_temp_path elsewhere/bodies; }
  } }`;
  const { config } = await loadNginxConfig({
    prefix,
    file: join(prefix, 'nginx.conf'),
    cpuCount: 1,
    superUser: false,
    lookup: async () => [],
    readFile: () => text,
    glob: () => [],
  });
  assert.deepEqual(makeDirectories(config, null), []);
  assert.deepEqual(readdirSync(prefix), []);
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  assert.deepEqual(makeDirectories(await withKongProxy(config), owner), []);
  assert.deepEqual(readdirSync(prefix).toSorted(), [
    'client_body_temp',
    'elsewhere',
    'fastcgi_temp',
    'kept',
    'proxy_temp',
  ]);
});
