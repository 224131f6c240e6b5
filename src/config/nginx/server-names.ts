/** `server_name`, in http and stream. */
import { hostname } from 'node:os';
import { encodeText } from '../bytes.ts';
import type { ServerNameConfig } from '../model.ts';
import { parseHostName } from './hostnames.ts';
import type { Conf } from './parser.ts';
import { checkRegex } from './variables.ts';

export interface ServerName {
  /** As written, in lower case unless it is a regular expression. */
  text: string;
  configs: ServerNameConfig[];
}

/** Reads the `server_name` at hand. @throws {ConfigError} */
export function readServerNames(cf: Conf, names: ServerName[]): void {
  for (const arg of cf.args.slice(1)) {
    if ((arg.startsWith('*') && (arg.length < 3 || arg[1] !== '.')) || arg === '.') {
      throw cf.error(`server name "${arg}" is invalid`);
    }
    if (arg.includes('/')) cf.warn(`server name "${arg}" has suspicious symbols`);

    if (arg.startsWith('~')) {
      const pattern = arg.slice(1);
      if (pattern === '') throw cf.error(`empty regex in server name "${arg}"`);
      const regex = checkRegex(cf, pattern, /[A-Z]/.test(pattern));
      names.push({ text: arg, configs: [{ kind: 'regex', regex }] });
      continue;
    }
    const text = (arg.toLowerCase() === '$hostname' ? encodeText(hostname()) : arg).toLowerCase();
    names.push({ text, configs: nameConfigs(text) });
  }
}

/** What a name matches; a wildcard in the wrong place matches nothing and is told of when listens are checked. */
function nameConfigs(text: string): ServerNameConfig[] {
  const parsed = parseHostName(text);
  if (parsed === null) return [];
  return [
    ...(parsed.exact === null ? [] : [{ kind: 'exact' as const, name: parsed.exact }]),
    ...(parsed.wildcard === null ? [] : [parsed.wildcard]),
  ];
}

/** The model's form of a server's names. */
export function finishServerNames(names: readonly ServerName[]): { names: ServerNameConfig[]; serverName: string } {
  const first = names[0]?.text ?? '';
  return {
    names: names.length === 0 ? [{ kind: 'exact', name: '' }] : names.flatMap((name) => name.configs),
    serverName: first.startsWith('.') ? first.slice(1) : first,
  };
}
