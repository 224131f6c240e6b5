/** A real browser without a window, driven by the Chrome DevTools Protocol over a WebSocket. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Scope, until, within } from './wait.ts';

type Fields = Record<string, unknown>;

interface Message {
  id?: number;
  sessionId?: string;
  method?: string;
  params?: Fields;
  result?: Fields;
  error?: { message: string };
}

/** Names of keys as `KeyboardEvent.key` has them, and their codes. */
const KEYS: Readonly<Record<string, { code: number; text?: string }>> = {
  Tab: { code: 9 },
  Enter: { code: 13, text: '\r' },
  Escape: { code: 27 },
  ArrowUp: { code: 38 },
  ArrowDown: { code: 40 },
  ' ': { code: 32, text: ' ' },
};

export class Browser {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { done: (result: Fields) => void; failed: (error: Error) => void }>();
  readonly #listeners = new Map<string, (method: string, params: Fields) => void>();
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#take(JSON.parse(String(data)) as Message));
  }

  /** @param program path of Chromium */
  static async start(scope: Scope, program: string): Promise<Browser> {
    const dir = mkdtempSync(join(tmpdir(), 'headrace-chromium-'));
    const args = [
      '--headless=new',
      '--remote-debugging-port=0',
      `--user-data-dir=${dir}`,
      '--no-first-run',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--force-color-profile=srgb',
      '--hide-scrollbars',
      // Its sandbox needs what containers and the superuser have not.
      '--no-sandbox',
      'about:blank',
    ];
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    scope.after(async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    });
    const file = join(dir, 'DevToolsActivePort');
    await until(
      () => `Chromium: ${errors}`,
      () => (existsSync(file) && readFileSync(file, 'utf8').includes('\n')) || child.exitCode !== null,
    );
    if (child.exitCode !== null) throw new Error(`Chromium ended: ${errors}`);
    const [port, path] = readFileSync(file, 'utf8').trim().split('\n');
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
    await within('DevTools', new Promise((resolve) => socket.addEventListener('open', resolve, { once: true })));
    scope.after(() => socket.close());
    return new Browser(socket);
  }

  #take({ id, sessionId = '', method, params = {}, result = {}, error }: Message): void {
    if (id === undefined) {
      this.#listeners.get(sessionId)?.(method!, params);
      return;
    }
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiter?.done(result);
    else waiter?.failed(new Error(error.message));
  }

  send(method: string, params: Fields = {}, sessionId?: string): Promise<Fields> {
    const id = ++this.#last;
    const answer = new Promise<Fields>((done, failed) => this.#waiting.set(id, { done, failed }));
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return within(method, answer);
  }

  /** A new page, in a window of that many pixels. */
  async page(width = 1280, height = 900): Promise<BrowserPage> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new BrowserPage((method, params) => this.send(method, params, String(sessionId)));
    this.#listeners.set(String(sessionId), (method, params) => page.heard(method, params));
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`);
    await page.window(width, height);
    return page;
  }
}

export class BrowserPage {
  readonly send: (method: string, params?: Fields) => Promise<Fields>;
  /** What the console has of errors and warnings: scripts that threw, policies that were broken, answers that failed. */
  readonly complaints: string[] = [];
  /** Addresses that the page asked for. */
  readonly asked: string[] = [];

  constructor(send: BrowserPage['send']) {
    this.send = send;
  }

  /** @internal */
  heard(method: string, params: Fields): void {
    if (method === 'Network.requestWillBeSent') this.asked.push((params.request as { url: string }).url);
    if (method === 'Runtime.exceptionThrown') this.complaints.push(JSON.stringify(params.exceptionDetails));
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(String(params.type))) {
      this.complaints.push(JSON.stringify(params.args));
    }
    if (method === 'Log.entryAdded') {
      const { level, text, url = '' } = params.entry as { level: string; text: string; url?: string };
      if (level === 'error' || level === 'warning') this.complaints.push(`${text} ${url}`);
    }
  }

  async window(width: number, height: number): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.send('Emulation.setDeviceMetricsOverride', metrics);
  }

  async scheme(value: 'light' | 'dark'): Promise<void> {
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
  }

  async open(url: string): Promise<void> {
    await this.send('Page.navigate', { url });
    await until(`${url} to load`, () => this.evaluate('document.readyState === "complete"'));
  }

  /** Value of an expression in the page; of a promise what it comes to. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
    return (answer.result as { value: T }).value;
  }

  /** What the page shows as text. */
  text(selector = 'body'): Promise<string> {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`);
  }

  /** Waits until the expression is true in the page. */
  waitFor(expression: string, patienceMs?: number): Promise<unknown> {
    let text = '';
    return until(
      () => `${expression}\n${text}`,
      async () => {
        const found = await this.evaluate<unknown>(`Boolean(${expression})`);
        if (found !== true) text = await this.text();
        return found;
      },
      patienceMs,
    );
  }

  async press(key: string, times = 1): Promise<void> {
    const { code, text }: { code: number; text?: string } = KEYS[key] ?? {
      code: key.toUpperCase().charCodeAt(0),
      text: key,
    };
    const common = { key, windowsVirtualKeyCode: code };
    for (let i = 0; i < times; i++) {
      await this.send('Input.dispatchKeyEvent', {
        type: text === undefined ? 'rawKeyDown' : 'keyDown',
        text,
        ...common,
      });
      await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...common });
    }
  }

  /** Writes into what has the focus, in place of what is selected. */
  async type(text: string): Promise<void> {
    await this.send('Input.insertText', { text });
  }

  /** Presses Tab until what has the focus is as the expression (about `it`) says. */
  async tabTo(expression: string, most = 80): Promise<void> {
    const reached = `(it => it !== null && Boolean(${expression}))(document.activeElement)`;
    for (let i = 0; i < most; i++) {
      if (await this.evaluate<boolean>(reached)) return;
      await this.press('Tab');
    }
    throw new Error(`Tab does not lead to ${expression}`);
  }

  /** The window, or the whole page, as PNG. */
  async picture(file: string, whole = false): Promise<void> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: whole });
    writeFileSync(file, Buffer.from(String(data), 'base64'));
  }
}
