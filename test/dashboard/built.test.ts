/** `dashboard/built/` is what the sources of `dashboard/` make. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'vite';

const DASHBOARD = join(import.meta.dirname, '../../dashboard');

test('the committed page is current', async (t) => {
  const outDir = mkdtempSync(join(tmpdir(), 'headrace-test-'));
  t.after(() => rmSync(outDir, { recursive: true, force: true }));
  await build({ configFile: join(DASHBOARD, 'vite.config.ts'), build: { outDir } });
  const built = join(DASHBOARD, 'built');
  assert.deepEqual(readdirSync(outDir).sort(), readdirSync(built).sort());
  for (const name of readdirSync(built)) {
    const same = readFileSync(join(outDir, name)).equals(readFileSync(join(built, name)));
    assert.ok(same, `${name} is not what the sources make: npm run dashboard`);
  }
});

test('the page loads nothing', () => {
  const html = readFileSync(join(DASHBOARD, 'built/index.html'), 'utf8');
  const markup = html.replaceAll(/<(script|style)[^>]*>[^]*?<\/\1>/g, '');
  assert.doesNotMatch(markup, /(?:src|href)="(?!data:)/);
  assert.equal([...html.matchAll(/<script/g)].length, 1);
  assert.doesNotMatch(html, /@import|url\((?!["']?data:)/);
  assert.doesNotMatch(markup, / (?:style|on\w+)=/);
});
