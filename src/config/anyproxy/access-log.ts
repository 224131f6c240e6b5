/** `access`: log files, and formats of any-proxy's variables in Headrace's. */
import { encodeText } from '../bytes.ts';
import type { Statement } from '../nginx/statements.ts';
import type { Warn } from './keys.ts';
import type { Assignment } from './syntax.ts';
import { Toml } from './toml.ts';

/** Those that there is something for. */
const VARIABLES: Readonly<Record<string, string>> = {
  local_time: '$time_local',
  local_name: '$server_name',
  local_protocol: '$protocol',
  local_addr: '$server_addr:$server_port',
  local_ip: '$server_addr',
  local_port: '$server_port',
  local_domain: '$server_name',
  remote_addr: '$realip_remote_addr:$realip_remote_port',
  remote_ip: '$realip_remote_addr',
  remote_port: '$realip_remote_port',
  remote_domain: '$hello_domain',
  client_addr: '$remote_addr:$remote_port',
  client_ip: '$remote_addr',
  client_port: '$remote_port',
  request_id: '$hello_request_id',
  domain: '$hello_domain',
  ssl_domain: '$ssl_preread_server_name',
  session_time: '$session_time',
  status: '$status',
  upstream_host: '$upstream_last_server_name',
  upstream_name: '$upstream_last_server_name',
  upstream_addr: '$upstream_last_addr',
  upstream_connect_time: '$upstream_connect_time',
  client_bytes_sent: '$bytes_sent',
  client_bytes_received: '$bytes_received',
  upstream_bytes_sent: '$upstream_bytes_sent',
  upstream_bytes_received: '$upstream_bytes_received',
};

const DEFAULT =
  '[$time_local] $protocol client:$remote_addr:$remote_port local:$server_addr:$server_port ' +
  'upstream:$upstream_last_addr $status session_time:$session_time connect_time:$upstream_connect_time ' +
  'bytes:$bytes_received $upstream_bytes_sent $upstream_bytes_received $bytes_sent request_id:[$hello_request_id]';

export class AccessLogs {
  /** `log_format` of all. */
  readonly formats: Statement[] = [];
  readonly #warn: Warn;
  readonly #path: (name: string) => string;
  readonly #known = new Map<Assignment, Statement[]>();

  constructor(warn: Warn, path: (name: string) => string) {
    this.#warn = warn;
    this.#path = path;
  }

  /** `access_log` of a server. @throws {ConfigError} */
  read(item: Assignment): Statement[] {
    const known = this.#known.get(item);
    if (known !== undefined) return known;
    const toml = new Toml(item);
    const statements: Statement[] = [];
    for (const table of toml.root.tables('access')) {
      const on = table.flag('access_log') ?? true;
      const file = table.text('access_log_file') ?? './logs/access.log';
      const format = table.text('access_format');
      const stdout = table.flag('access_log_stdout') ?? false;
      // any-proxy's newer edition logs nothing but errors by default; here all sessions are logged.
      table.flag('is_err_access_log');
      table.end();
      if (!on) continue;
      const name = this.#format(item, format);
      const targets = [this.#path(encodeText(file)), ...(stdout ? ['/dev/stdout'] : [])];
      for (const target of targets) {
        statements.push({ args: ['access_log', target, name], place: item.place });
      }
    }
    toml.root.end();
    if (statements.length === 0) statements.push({ args: ['access_log', 'off'], place: item.place });
    this.#known.set(item, statements);
    return statements;
  }

  #format(item: Assignment, format: string | null): string {
    const name = `anyproxy_${this.formats.length + 1}`;
    const missing = new Set<string>();
    const text =
      format === null
        ? DEFAULT
        : format.replace(/\$\{([A-Za-z0-9_]+)\}|\$/g, (all, variable: string | undefined) => {
            if (variable === undefined) return '';
            const ours = VARIABLES[variable];
            if (ours !== undefined) return ours.replace(/\$(\w+)/g, '${$1}');
            missing.add(variable);
            return '-';
          });
    if (missing.size > 0) {
      this.#warn(`"access_format": there is nothing for ${[...missing].join(', ')}, "-" stands in the log`, item.place);
    }
    this.formats.push({ args: ['log_format', name, encodeText(text)], place: item.place });
    return name;
  }
}
