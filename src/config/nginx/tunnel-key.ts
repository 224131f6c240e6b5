/** `tunnel_key id secret`: what both ends of a tunnel know. */
import { decodeText } from '../bytes.ts';
import type { TunnelKeyConfig } from '../via-model.ts';
import { errnoText } from './cycle.ts';
import type { Conf } from './parser.ts';

/** Fewer bytes can be guessed. */
const LEAST = 16;

/** @throws {ConfigError} */
export function readTunnelKey(cf: Conf): TunnelKeyConfig {
  const [, id = '', text = ''] = cf.args;
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(id)) {
    throw cf.error(`invalid key name "${id}", it must be of up to 64 letters, digits, "_", "." and "-"`);
  }
  let secret = text;
  if (text.startsWith('file:')) {
    const file = cf.cycle.fullName(text.slice(5), 'conf');
    try {
      secret = cf.cycle.readFile(file).trim();
    } catch (error) {
      throw cf.error(`cannot read tunnel key "${decodeText(file)}": ${errnoText(error)}`);
    }
  }
  if (secret.length < LEAST) throw cf.error(`tunnel key "${id}" is shorter than ${LEAST} bytes`);
  return { id, secret };
}
