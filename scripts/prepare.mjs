/**
 * After `npm ci` and `npm install` in a checkout: builds, for what is built starts sooner. Whatever stands in the way (no development
 * dependencies, a Node that is too old, no binary of the bundler for this machine), the sources run as they are.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const own = join(root, 'node_modules/node/bin/node');
const { status } = spawnSync(existsSync(own) ? own : process.execPath, [join(root, 'scripts/build.ts')], {
  stdio: 'ignore',
});
if (status !== 0) process.stderr.write('headrace: not built: bin/headrace runs the sources (npm run build says why)\n');
