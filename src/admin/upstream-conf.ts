/** `upstream_conf`: the interface of NGINX Plus before the API (until 1.13.10), as a query on a location. */
import { GroupError } from '../control/group-error.ts';
import type { Groups, ManagedGroup, PeerView } from '../control/groups.ts';
import { isName, type NameView } from '../control/group-names.ts';
import { stateText } from '../control/state-file.ts';
import type { AdminReply, AdminRequest } from '../http/handlers/admin.ts';
import { ApiError, statusOf } from './errors.ts';
import { readArguments } from './plus/servers.ts';

/** What is about which server, not about its parameters. */
const ADDRESSING: ReadonlySet<string> = new Set(['upstream', 'stream', 'id', 'add', 'remove']);

export class UpstreamConf {
  readonly #http: Groups;
  readonly #stream: Groups;

  constructor(http: Groups, stream: Groups) {
    this.#http = http;
    this.#stream = stream;
  }

  async answer(request: AdminRequest): Promise<AdminReply> {
    try {
      return text(200, await this.#do(new Map(new URLSearchParams(request.args))));
    } catch (error) {
      if (error instanceof ApiError) return text(error.status, error.message);
      if (error instanceof GroupError) return text(statusOf(error.code), error.message);
      throw error;
    }
  }

  async #do(args: Map<string, string>): Promise<string> {
    const name = args.get('upstream');
    if (name === undefined) throw new ApiError(400, 'UpstreamConfFormatError', 'missing "upstream" argument');
    const door = args.has('stream') ? 'stream' : 'http';
    const group = (door === 'http' ? this.#http : this.#stream).get(name);
    if (group === null) throw new ApiError(404, 'UpstreamNotFound', `upstream "${name}" not found`);
    if (group.config.zone === null) throw new ApiError(400, 'UpstreamStatic', `upstream "${name}" has no memory zone`);
    const change = readArguments(new Map([...args].filter(([key]) => !ADDRESSING.has(key))), door);
    if (args.has('add')) {
      const { server } = change;
      if (server === undefined) throw new ApiError(400, 'UpstreamConfFormatError', 'missing "server" argument');
      if (change.service === undefined && !isName(server)) return line(await group.add({ ...change, server }));
      return nameLine(await group.addName({ ...change, server }));
    }
    if (!args.has('id')) {
      if (args.has('remove')) throw new ApiError(400, 'UpstreamConfFormatError', 'missing "id" argument');
      return lines(group, change.backup ?? null);
    }
    const id = Number(args.get('id'));
    if (!Number.isInteger(id)) throw new ApiError(400, 'UpstreamBadServerId', 'invalid server id');
    const known = group.names.get(id);
    if (args.has('remove')) {
      await (known === null ? group.remove(id) : group.removeName(known));
      return lines(group, null);
    }
    const changes = Object.keys(change).length > 0;
    if (known !== null) return nameLine(changes ? await group.updateName(known, change) : known);
    return line(changes ? await group.update(id, change) : group.peer(id));
  }
}

/** @param backup null: all servers; else those that are, or are not, backups */
function lines(group: ManagedGroup, backup: boolean | null): string {
  const { peers } = group.snapshot();
  const names = group.names.list().filter(({ server }) => backup === null || server.backup === backup);
  const addresses = peers.filter((peer) => backup === null || peer.backup === backup).map(line);
  return [...names.map(nameLine), ...addresses].join('');
}

function nameLine({ id, server }: NameView): string {
  return `${stateText([server]).trimEnd()} # id=${id}\n`;
}

function line(peer: PeerView): string {
  const parts = [
    `server ${peer.address}`,
    ...(peer.weight === 1 ? [] : [`weight=${peer.weight}`]),
    ...(peer.maxConns === 0 ? [] : [`max_conns=${peer.maxConns}`]),
    ...(peer.maxFails === 1 ? [] : [`max_fails=${peer.maxFails}`]),
    ...(peer.failTimeoutSec === 10 ? [] : [`fail_timeout=${peer.failTimeoutSec}s`]),
    ...(peer.slowStartMs === 0 ? [] : [`slow_start=${peer.slowStartMs / 1000}s`]),
    ...(peer.route === null ? [] : [`route=${peer.route}`]),
    ...(peer.backup ? ['backup'] : []),
    ...(peer.state === 'down' ? ['down'] : []),
    ...(peer.state === 'draining' ? ['drain'] : []),
  ];
  return `${parts.join(' ')}; # id=${peer.id}\n`;
}

function text(status: number, body: string): AdminReply {
  return { status, fields: [['Content-Type', 'text/plain']], body, more: false };
}
