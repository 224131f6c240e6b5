/** The command line, as nginx reads it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions, UsageError } from '../../src/cli/options.ts';
import { configSource } from '../../src/cli/paths.ts';
import { configureArguments, FEATURES } from '../../src/cli/features.ts';

test('values: glued, separate, after flags', () => {
  for (const args of [['-cfile'], ['-c', 'file'], ['-tcfile'], ['-qtc', 'file']]) {
    assert.equal(parseOptions(args).file, 'file');
  }
  const options = parseOptions(['-p', 'dir', '-e', 'log', '-g', 'daemon off; pid x;', '-s', 'reload', '-q']);
  assert.deepEqual(
    [options.prefix, options.errorLog, options.globals, options.signal, options.quiet],
    ['dir', 'log', 'daemon off; pid x;', 'reload', true],
  );
  // An empty value is a value; a lone dash is nothing.
  assert.equal(parseOptions(['-p', '']).prefix, '');
  assert.deepEqual(parseOptions(['-']), parseOptions([]));
  // Flags imply others.
  assert.deepEqual(
    [parseOptions(['-T']).test, parseOptions(['-h']).version, parseOptions(['-?']).help],
    [true, true, true],
  );
});

for (const [args, message] of [
  [['foo'], 'invalid option: "foo"'],
  [['-x'], 'invalid option: "x"'],
  [['-tx'], 'invalid option: "x"'],
  [['--help'], 'invalid option: "-"'],
  [['-s', 'foo'], 'invalid option: "-s foo"'],
  [['-sfoo'], 'invalid option: "-s foo"'],
  [['-s', 'toString'], 'invalid option: "-s toString"'],
  [['-s', ''], 'invalid option: "-s "'],
  [['-s'], 'option "-s" requires parameter'],
  [['-g'], 'option "-g" requires parameter'],
  [['-tc'], 'option "-c" requires file name'],
  [['-e'], 'option "-e" requires file name'],
  [['-p'], 'option "-p" requires directory name'],
] as const) {
  test(`wrong: ${args.join(' ')}`, () => {
    assert.throws(
      () => parseOptions(args),
      (error) => error instanceof UsageError && error.message === message,
    );
  });
}

test('paths are completed from the prefix', () => {
  const of = (...args: string[]) => configSource(parseOptions(args), '/srv');
  assert.deepEqual(of(), { prefix: '/srv/', file: '/srv/conf/nginx.conf', globals: '', errorLogPath: 'stderr' });
  assert.deepEqual(of('-p', '/x/', '-c', 'a.conf', '-e', 'error.log'), {
    prefix: '/x/',
    file: '/x/a.conf',
    globals: '',
    errorLogPath: '/x/error.log',
  });
  assert.equal(of('-p', 'rel', '-c', '/abs').prefix, '/srv/rel/');
  assert.equal(of('-c', '/abs').file, '/abs');
  assert.equal(of('-e', 'stderr').errorLogPath, 'stderr');
  assert.equal(of('-p', '/').prefix, '/');
});

test('features are printed as nginx would be configured', () => {
  const features = [
    { name: 'http_ssl_module', flag: 'with', built: true },
    { name: 'stream', flag: 'with', built: false },
    { name: 'http_proxy_module', flag: 'without', built: true },
    { name: 'http-cache', flag: 'without', built: false },
  ] as const;
  assert.deepEqual(configureArguments(features), ['--with-http_ssl_module', '--without-http-cache']);
  assert.equal(new Set(FEATURES.map(({ name }) => name)).size, FEATURES.length);
});
