/** What tests of the Kong door's proxy share: targets that echo, and a gateway that is told by the Admin API. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KongProcess } from './kong.ts';
import { type Scope, until } from './wait.ts';

export interface Echo {
  name: string;
  url: string;
  headers: Record<string, string>;
}

/** A server that tells what reached it, and answers with the status that it was told to. */
export class Target {
  readonly address: string;
  status = 200;
  requests = 0;
  delayMs = 0;
  /** The last probe. */
  probed = '';
  /** Answers nothing at all. */
  silent = false;

  #held: (() => void)[] = [];

  /** Answers those that were held back, and all others again. */
  release(): void {
    this.silent = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  private constructor(address: string) {
    this.address = address;
  }

  static async start(scope: Scope, port = 0): Promise<Target> {
    let target: Target | null = null;
    const server = createServer((req: IncomingMessage, res: ServerResponse) => target!.#answer(req, res));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.after(() => {
      server.closeAllConnections();
      server.close();
    });
    target = new Target(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    return target;
  }

  #answer(req: IncomingMessage, res: ServerResponse): void {
    if (req.url === '/status') this.probed = `${req.method} ${req.headers.host}`;
    else this.requests++;
    if (this.silent) {
      this.#held.push(() => this.#send(req, res));
      return;
    }
    if (this.delayMs > 0) setTimeout(() => this.#send(req, res), this.delayMs);
    else this.#send(req, res);
  }

  #send(req: IncomingMessage, res: ServerResponse): void {
    res.writeHead(this.status, { 'content-type': 'application/json', server: 'echo' });
    res.end(JSON.stringify({ name: this.address, url: req.url, headers: req.headers }));
  }
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

export function get(port: number, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (res) => {
      let text = '';
      res.setEncoding('latin1').on('data', (part: string) => (text += part));
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text }));
      res.on('error', reject);
    });
    req.on('error', reject);
    req.end();
  });
}

export const echo = ({ text }: Answer): Echo => JSON.parse(text) as Echo;

export class Gateway {
  readonly kong: KongProcess;

  constructor(kong: KongProcess) {
    this.kong = kong;
  }

  async make(path: string, body: object, status = 201): Promise<Record<string, unknown>> {
    const answer = await this.kong.send('POST', path, body);
    assert.equal(answer.status, status, JSON.stringify(answer.json));
    return answer.json as Record<string, unknown>;
  }

  /** An upstream with targets, a service and a route by its name as host. */
  async upstream(name: string, settings: object, targets: (string | object)[], service: object = {}): Promise<void> {
    await this.make('/upstreams', { name, ...settings });
    for (const target of targets) {
      await this.make(`/upstreams/${name}/targets`, typeof target === 'string' ? { target } : target);
    }
    await this.make('/services', { name, host: name, ...service });
    await this.make(`/services/${name}/routes`, { hosts: [name] });
    await until(`the route to ${name}`, async () => (await this.get(name, '/ready')).status !== 404);
  }

  get(host: string, path = '/', headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
    return get(this.kong.proxyPort, path, { host, ...headers }, method);
  }

  async names(host: string, n: number, headers: Record<string, string> = {}): Promise<string[]> {
    const names: string[] = [];
    for (let i = 0; i < n; i++) names.push(echo(await this.get(host, '/', headers)).name);
    return names;
  }

  async health(name: string): Promise<string[]> {
    const { json } = await this.kong.send('GET', `/upstreams/${name}/health`);
    return (json as { data: { health: string }[] }).data.map(({ health }) => health);
  }
}

export const share = (names: readonly string[], address: string): number =>
  names.filter((name) => name === address).length;
