/** `auth_basic` (RFC 7617). */
import type { AuthBasicConfig } from '../../config/model-access.ts';
import { errnoText } from '../../observe/errno.ts';
import { METHOD_CONNECT } from '../wire/request-head.ts';
import { logRequest } from '../request-log.ts';
import type { BodyProducer, HttpRequest } from '../request.ts';
import { basicCredentials } from '../variables/request.ts';
import type { VariableTable } from '../variables/table.ts';
import type { Value } from '../variables/value.ts';
import { checkPassword, forgetPassword } from './crypt/passwords.ts';
import type { Outcome } from './crypt/passwords.ts';
import { ALLOW, answerAccess, DECLINED, PENDING } from './phase.ts';
import type { AccessChecker } from './phase.ts';
import { storedPassword } from './user-file.ts';

/**
 * @param directory of the configuration file, with a trailing slash: what file names made of variables are relative to
 * @returns null when the location asks for no password
 */
export function compileAuthBasic(
  config: AuthBasicConfig,
  table: VariableTable,
  directory: string,
): AccessChecker | null {
  if (config.realm === null || config.userFile === null) return null;
  const realm = table.compile(config.realm);
  const userFile = table.compile(config.userFile);
  return (r) => {
    const name = realm.get(r);
    if (name === 'off') return DECLINED;
    const credentials = basicCredentials(r);
    if (credentials === null) {
      logRequest(r, 'info', 'no user/password was provided for basic authentication');
      return demand(r, name);
    }
    return check(r, name, fullPath(userFile, r, directory), credentials.user, credentials.password);
  };
}

function fullPath(value: Value, r: HttpRequest, directory: string): string {
  const path = value.get(r);
  return path.startsWith('/') ? path : directory + path;
}

function check(r: HttpRequest, realm: string, path: string, user: string, password: string): number {
  let stored: string | null;
  try {
    stored = storedPassword(path, user);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    logRequest(r, missing ? 'error' : 'crit', `open() "${path}" failed (${errnoText(error)})`);
    return missing ? 403 : 500;
  }
  if (stored === null) {
    logRequest(r, 'error', `user "${user}" was not found in "${path}"`);
    return demand(r, realm);
  }
  const wait = new Wait();
  const outcome = checkPassword(password, stored, (later) => {
    if (r.producer === wait) r.producer = null;
    answerAccess(r, verdict(r, realm, user, later));
  });
  if (typeof outcome !== 'number') return verdict(r, realm, user, outcome);
  wait.id = outcome;
  r.producer = wait;
  return PENDING;
}

function verdict(r: HttpRequest, realm: string, user: string, outcome: Outcome): number {
  if (outcome === true) return ALLOW;
  if (outcome === false) {
    logRequest(r, 'error', `user "${user}": password mismatch`);
    return demand(r, realm);
  }
  logRequest(r, 'error', `user "${user}": ${outcome}`);
  return 500;
}

function demand(r: HttpRequest, realm: string): number {
  const name = r.method === METHOD_CONNECT ? 'Proxy-Authenticate' : 'WWW-Authenticate';
  r.fields.set(name, `Basic realm="${realm}"`);
  return 401;
}

/** Stands where the answer's producer will: told when the client leaves meanwhile. */
class Wait implements BodyProducer {
  id = 0;

  onDrain(): void {}

  onAbort(): void {
    forgetPassword(this.id);
  }
}
