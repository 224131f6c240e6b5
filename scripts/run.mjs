/**
 * What stands behind every `npm run …`: makes sure that the dependencies are installed, then runs something with the
 * Node of this repository (the `node` package, v26).
 *
 *     node scripts/run.mjs FILE.ts [arguments]
 *     node scripts/run.mjs --tool NAME [arguments]       NAME of node_modules/.bin
 *
 * This file itself is run by whatever Node the machine has: plain JavaScript for Node 20 and newer, no dependencies.
 * The exit code is the program's.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const own = join(root, 'node_modules/node/bin/node');

/** One line for the user, no stack. @returns {never} */
function fail(message) {
  process.stderr.write(`headrace: ${message}\n`);
  process.exit(1);
}

/** Packages of a lock file, or null when there is none that can be read. */
function packages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}

/**
 * Is what node_modules holds what the lock file says? Compared by content: times change with every checkout, and
 * `npm ci` takes everything away from under programs that may be running.
 */
function installed() {
  const wanted = packages(join(root, 'package-lock.json'));
  const present = packages(join(root, 'node_modules/.package-lock.json'));
  if (wanted === null) fail('package-lock.json is missing or damaged: is this a complete checkout?');
  if (present === null || !existsSync(own)) return false;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true;
    const there = present[path]?.version;
    // Binaries for other platforms are optional, and not here.
    return there === version || (there === undefined && optional === true);
  });
}

function install() {
  process.stderr.write('headrace: installing what is needed (npm ci) …\n');
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error'];
  // The npm that runs this script, if it does: there may be several.
  const npm = process.env.npm_execpath;
  const [file, ...first] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
  // Its summary ("added 18 packages") goes to stderr: stdout belongs to the program.
  const { status, error } = spawnSync(file, [...first, ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  if (error !== undefined) fail(`could not run npm: ${error.message}`);
  if (status !== 0) fail('npm ci failed (see above); is the npm registry reachable?');
}

/** The Node to use: the repository's own; where its binary could not be installed, the one at hand if it fits. */
function node() {
  if (existsSync(own)) return own;
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major >= 26 || (major === 24 && minor >= 11)) return process.execPath;
  return fail(
    `the npm package "node" has not installed its binary (npm's ignore-scripts setting?), and Node.js ` +
      `${process.versions.node} is too old: allow its install script, or use Node.js 24.11 or newer of 24, or 26 and newer`,
  );
}

const [first, ...rest] = process.argv.slice(2);
if (first === undefined || (first === '--tool' && rest.length === 0)) fail('usage: run.mjs FILE.ts | --tool NAME');
if (!installed()) install();

let command;
if (first === '--tool') {
  const [name, ...args] = rest;
  const tool = join(root, 'node_modules/.bin', name);
  if (!existsSync(tool)) fail(`${name} is not in node_modules/.bin`);
  command = [realpathSync(tool), ...args];
} else {
  command = [join(root, first), ...rest];
}

// An IPC channel, so that the program can tell when this process is gone, however it went.
const child = spawn(node(), command, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
child.on('error', (error) => fail(`could not run ${command[0]}: ${error.message}`));
// The program decides when it ends; a terminal sends its signals to both, `kill` only to this one.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
