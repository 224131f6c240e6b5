/** The dashboard in a real browser: what it says when things go wrong, and what an operator does with it. */
import assert from 'node:assert/strict';
import { before, after, describe, test } from 'node:test';
import { answering, Backend, ok } from '../helpers/backend.ts';
import { Browser, type BrowserPage } from '../helpers/chromium.ts';
import { ask } from '../helpers/client.ts';
import { Headrace } from '../helpers/headrace.ts';
import { text } from '../helpers/http1.ts';
import { findProgram, requires } from '../helpers/requires.ts';
import { suiteScope } from '../helpers/wait.ts';

/** What an operator is promised. */
const SOON_MS = 2000;
/** A machine that does other things, too, may be late once. */
const TRIES = 4;

const chromium = findProgram('chromium');
const script = answering(() => ok('ok'));

describe('the dashboard', () => {
  const scope = suiteScope(after);
  let h: Headrace;
  let one: Backend;
  let two: Backend;
  let page: BrowserPage;

  before(async () => {
    if (chromium === null) return;
    one = await Backend.start(scope, script);
    two = await Backend.start(scope, script);
    h = await Headrace.start(
      scope,
      ({ port }) => `
      upstream app { zone app 64k; server 127.0.0.1:${one.port}; server 127.0.0.1:${two.port} weight=2; }
      upstream quiet { zone quiet 64k; server 127.0.0.1:${one.port}; }
      upstream fixed { server 127.0.0.1:${one.port}; }
      server {
        listen 127.0.0.1:${port('main')};
        status_zone front;
        location / { proxy_pass http://app; health_check interval=200ms; }
      }
      server {
        listen 127.0.0.1:${port('admin')};
        location /v/api { api write=on; }
        location /dashboard { dashboard; }
        location /refused/api { api write=on; deny all; }
      }
      server {
        listen 127.0.0.1:${port('refusing')};
        location /api { api write=on; limit_except GET { deny all; } }
        location / { dashboard; }
      }`,
      { workers: 2 },
    );
    const browser = await Browser.start(scope, chromium);
    page = await browser.page();
    await page.open(`http://127.0.0.1:${h.port('admin')}/dashboard`);
    await page.waitFor(`document.querySelector('.link-state.live') !== null`);
  });

  const admin = (path: string): string => `/v/api/9${path}`;
  const servers = async (): Promise<{ id: number; server: string; weight: number; drain?: boolean; down: boolean }[]> =>
    JSON.parse(text(await ask(scope, h.port('admin'), admin('/http/upstreams/app/servers'))));
  const state = (port: number): string =>
    `document.querySelector('[data-group=app] [data-server="127.0.0.1:${port}"] td.state')?.innerText`;
  const isState = (port: number, name: string): string => `${state(port)}?.startsWith('${name}')`;
  const said = (what: string): string =>
    `document.querySelector('.attention')?.innerText.includes(${JSON.stringify(what)})`;

  /** Opens a server's window by the keyboard. */
  async function openServer(port: number): Promise<void> {
    await page.tabTo(`it.textContent === '127.0.0.1:${port}' && it.closest('[data-group=app]') !== null`);
    await page.press('Enter');
    await page.waitFor(`document.querySelector('dialog.server[open]') !== null`);
  }

  async function pressButton(name: string): Promise<void> {
    await page.tabTo(`it.textContent.trim() === ${JSON.stringify(name)} && it.closest('dialog[open]') !== null`);
    await page.press('Enter');
  }

  test('shows groups, servers, numbers', async (t) => {
    if (requires(t, 'chromium') === null) return;
    await page.waitFor(said('3 groups, 4 servers, all in order.'));
    assert.equal(await page.evaluate('document.querySelectorAll(".group").length'), 3);
    for (let i = 0; i < 30; i++) await ask(scope, h.port('main'), '/');
    await page.waitFor(`document.querySelector('[data-group=app] .cell .value').innerText !== '0'`);
    await page.waitFor('document.querySelectorAll("canvas").length >= 5');
    await page.waitFor(`document.title.startsWith('Headrace on ')`);
  });

  test('says within two seconds that a server is gone, and that it is back', async (t) => {
    if (requires(t, 'chromium') === null) return;
    const { port } = two;
    const taken: number[] = [];
    for (let i = 0; i < TRIES; i++) {
      const began = performance.now();
      await two.stop();
      await page.waitFor(said('1 of 2 servers is out'));
      taken.push(performance.now() - began);
      await page.waitFor(isState(port, 'Unhealthy'));
      await page.waitFor(`document.title.startsWith('(1) ')`);
      two = await Backend.start(scope, script, { port });
      await page.waitFor(said('all in order'));
      if (taken.at(-1)! <= SOON_MS) break;
    }
    assert.ok(Math.min(...taken) <= SOON_MS, `took ${taken.map(Math.round).join(', ')} ms`);
  });

  test('drains, disables and reweights by keyboard alone', async (t) => {
    if (requires(t, 'chromium') === null) return;
    await page.evaluate('document.activeElement.blur()');
    await openServer(two.port);
    await pressButton('Drain');
    await page.waitFor(isState(two.port, 'Draining'));
    assert.equal((await servers())[1]!.drain, true);
    await page.waitFor(said('1 server taken out by hand'));
    await pressButton('In use');
    await page.waitFor(isState(two.port, 'Up'));

    await page.tabTo(`it.name === 'weight'`);
    await page.evaluate('document.activeElement.select()');
    await page.type('7');
    await page.press('Enter');
    await page.waitFor(
      `document.querySelector('[data-server="127.0.0.1:${two.port}"] [data-label=Weight]').innerText === '7'`,
    );
    assert.equal((await servers())[1]!.weight, 7);

    // What hurts is asked first, and Enter at once says no.
    await pressButton('Disable');
    await page.waitFor(`document.querySelectorAll('dialog[open]').length === 2`);
    await page.press('Enter');
    await page.waitFor(`document.querySelectorAll('dialog[open]').length === 1`);
    assert.equal((await servers())[1]!.down, false);
    await pressButton('Disable');
    await page.waitFor(`document.querySelectorAll('dialog[open]').length === 2`);
    await page.tabTo(`it.matches('dialog.small .danger')`);
    await page.press('Enter');
    await page.waitFor(isState(two.port, 'Disabled'));
    await pressButton('In use');
    await page.waitFor(isState(two.port, 'Up'));
    await page.press('Escape');
    await page.waitFor(`document.querySelector('dialog[open]') === null`);
    // The focus is back where it was.
    await page.waitFor(`document.activeElement.textContent === '127.0.0.1:${two.port}'`);
  });

  test('warns before the last server is taken away', async (t) => {
    if (requires(t, 'chromium') === null) return;
    await ask(scope, h.port('admin'), admin('/http/upstreams/app/servers/1'), {
      method: 'PATCH',
      body: '{"down":true}',
    });
    await page.waitFor(isState(two.port, 'Disabled'));
    await openServer(one.port);
    await pressButton('Drain');
    await page.waitFor(`document.querySelector('dialog.small')?.innerText.includes('the last server of app')`);
    await page.press('Escape');
    await page.press('Escape');
    await page.waitFor(`document.querySelector('dialog[open]') === null`);
    await ask(scope, h.port('admin'), admin('/http/upstreams/app/servers/1'), {
      method: 'PATCH',
      body: '{"down":false}',
    });
    await page.waitFor(isState(two.port, 'Up'));
  });

  test('adds and removes a server, and shows what the API says', async (t) => {
    if (requires(t, 'chromium') === null) return;
    const three = await Backend.start(scope, script);
    await page.tabTo(`it.textContent === 'Add a server' && it.closest('[data-group=app]') !== null`);
    await page.press('Enter');
    await page.waitFor(`document.querySelector('dialog form.add') !== null`);
    await page.tabTo(`it.name === 'server'`);
    await page.type('127.0.0.1:99999');
    await page.press('Enter');
    await page.waitFor(`document.querySelector('[role=alert]')?.innerText.includes('UpstreamBadAddress')`);
    await page.tabTo(`it.name === 'server'`);
    await page.evaluate('document.activeElement.select()');
    await page.type(`127.0.0.1:${three.port}`);
    await page.press('Enter');
    await page.waitFor(`document.querySelector('dialog[open]') === null`);
    await page.waitFor(isState(three.port, 'Up'));
    assert.equal((await servers()).length, 3);

    await openServer(three.port);
    await pressButton('Remove …');
    await page.tabTo(`it.matches('dialog.small .danger')`);
    await page.press('Enter');
    await page.waitFor(`document.querySelector('[data-server="127.0.0.1:${three.port}"]') === null`);
    await page.waitFor(`document.querySelector('dialog[open]') === null`);
    assert.equal((await servers()).length, 2);
    assert.equal(
      await page.evaluate(`document.querySelector('[data-group=fixed] .group-foot').innerText`),
      'Without a zone it cannot be changed while it runs.',
    );
  });

  test('every control has a name, and the search finds', async (t) => {
    if (requires(t, 'chromium') === null) return;
    await openServer(one.port);
    const { nodes } = (await page.send('Accessibility.getFullAXTree')) as {
      nodes: { ignored: boolean; role?: { value: string }; name?: { value: string } }[];
    };
    const controls = nodes.filter(
      ({ ignored, role }) =>
        !ignored &&
        /^(button|link|textbox|searchbox|spinbutton|combobox|dialog|img|figure|meter)$/i.test(role?.value ?? ''),
    );
    assert.ok(controls.length > 8);
    assert.deepEqual(
      controls.filter(({ name }) => (name?.value ?? '').trim() === '').map(({ role }) => role?.value),
      [],
    );
    await page.press('Escape');
    await page.waitFor(`document.querySelector('dialog[open]') === null`);
    await page.press('/');
    await page.type('quie');
    await page.waitFor(`document.querySelectorAll('.group').length === 1`);
    assert.equal(await page.evaluate(`document.querySelector('.group').dataset.group`), 'quiet');
    await page.evaluate('document.activeElement.select()');
    await page.type('nobody');
    await page.waitFor(`document.body.innerText.includes('Nothing is called “nobody”')`);
    await page.tabTo(`it.textContent.startsWith('Show all')`);
    await page.press('Enter');
    await page.waitFor(`document.querySelectorAll('.group').length === 3`);
    await page.tabTo(`it.matches('[data-group=quiet] .group-toggle')`, 200);
    await page.press('ArrowUp');
    assert.equal(await page.evaluate(`document.activeElement.closest('.group').dataset.group`), 'fixed');
  });

  test('fits into a narrow window, and is dark where that is wanted', async (t) => {
    if (requires(t, 'chromium') === null) return;
    const luminance = (element: string, what: string): Promise<number> =>
      page.evaluate(`getComputedStyle(document.querySelector('${element}')).${what}.match(/[\\d.]+/g).slice(0, 3)
        .reduce((sum, n) => sum + Number(n), 0) / 765`);
    await page.scheme('light');
    assert.ok((await luminance('body', 'backgroundColor')) > 0.9);
    await page.scheme('dark');
    assert.ok((await luminance('body', 'backgroundColor')) < 0.15);
    assert.ok((await luminance('.name', 'color')) > 0.8);
    for (const width of [1100, 800, 390, 320]) {
      await page.window(width, 700);
      for (const tab of ['#zones', '#process', '#groups']) {
        await page.evaluate(`location.hash = '${tab}'`);
        await page.waitFor(`document.querySelector('[aria-current]').hash === '${tab}'`);
        const wide = await page.evaluate<number>('document.scrollingElement.scrollWidth - innerWidth');
        assert.ok(wide <= 0, `${tab} at ${width}: ${wide} too wide`);
      }
    }
    await page.window(1280, 900);
  });

  test('says that the connection is lost, and comes back by itself', async (t) => {
    if (requires(t, 'chromium') === null) return;
    // So far nothing was amiss, and nothing was asked of anybody else.
    assert.deepEqual(
      page.complaints.filter((one) => !one.includes('status of 400')),
      [],
    );
    const origin = `http://127.0.0.1:${h.port('admin')}/`;
    assert.deepEqual(
      [...new Set(page.asked)].filter((url) => !url.startsWith(origin) && !url.startsWith('data:')),
      [],
    );
    assert.ok(!page.asked.some((url) => url.endsWith('favicon.ico')));
    await h.stop();
    await page.waitFor(`document.querySelector('.lost-banner')?.innerText.includes('The connection is lost.')`);
    await page.waitFor(`document.title.startsWith('(?) ')`);
    await h.restart();
    await page.waitFor(
      `document.querySelector('.link-state.live') !== null && document.querySelector('.lost-banner') === null`,
    );
    await page.waitFor(said('all in order'));
  });

  test('tells when the API lets nobody in', async (t) => {
    if (requires(t, 'chromium') === null) return;
    await page.open(`http://127.0.0.1:${h.port('refusing')}/`);
    await page.waitFor(said('all in order'));
    await openServer(one.port);
    await page.tabTo(`it.name === 'weight'`);
    await page.evaluate('document.activeElement.select()');
    await page.type('3');
    await page.press('Enter');
    await page.waitFor(
      `document.querySelector('[role=alert]')?.innerText.includes('403: the API does not let you in')`,
    );
    assert.equal((await servers())[0]!.weight, 1);
  });
});

test('hundreds of groups: those with problems first, the others close together, found by name or server', async (t) => {
  const program = requires(t, 'chromium');
  if (program === null) return;
  const backend = await Backend.start(t, script);
  const names = Array.from({ length: 300 }, (_, i) => `service-${String(i).padStart(3, '0')}`);
  const servers = (i: number): string =>
    Array.from(
      { length: 4 },
      (_, k) => `server 127.0.0.${k + 1}:${backend.port}${i === 222 && k === 1 ? ' down' : ''};`,
    ).join(' ');
  const h = await Headrace.start(
    t,
    ({ port }) => `
    ${names.map((name, i) => `upstream ${name} { zone z${i} 32k; ${i === 111 ? 'server 127.0.0.9:1 down;' : servers(i)} }`).join('\n')}
    server { listen 127.0.0.1:${port('admin')}; location / { dashboard; } }`,
  );
  const browser = await Browser.start(t, program);
  const page = await browser.page();
  await page.open(`http://127.0.0.1:${h.port('admin')}/`);
  await page.waitFor(`document.querySelectorAll('.group').length === 300`);
  const first = 'Array.from(document.querySelectorAll(".group")).slice(0, 3).map((row) => row.dataset.group)';
  assert.deepEqual(await page.evaluate(first), ['service-111', 'service-222', 'service-000']);
  assert.match(await page.text('.attention'), /service-111 has no server that takes requests/);
  // Only what is wrong is open.
  assert.equal(await page.evaluate('document.querySelectorAll(".group.open").length'), 1);
  const search = async (text: string): Promise<void> => {
    await page.evaluate('document.querySelector("input[type=search]").select()');
    await page.type(text);
  };
  await page.press('/');
  await search('127.0.0.9');
  await page.waitFor(`document.querySelectorAll('.group').length === 1`);
  await search('service-25');
  await page.waitFor(`document.querySelectorAll('.group').length === 10`);
  assert.deepEqual(page.complaints, []);
});
