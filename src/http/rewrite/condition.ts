/** Conditions of `if`. */
import type { IfCondition } from '../../config/model.ts';
import { statFile } from '../handlers/static-path.ts';
import type { HttpRequest } from '../request.ts';
import { logRequest } from '../request-log.ts';
import { CaptureRegex } from '../../variables/regex.ts';
import type { RewriteContext, RewriteState } from './program.ts';
import { template } from './template.ts';

export type Condition = (r: HttpRequest, state: RewriteState) => boolean;

const OWNER_EXECUTES = 0o100;

export function compileCondition(condition: IfCondition, { table, log }: RewriteContext): Condition {
  const lookup = (name: string) => table.lookup(name);
  switch (condition.kind) {
    case 'truthy': {
      const getter = table.lookup(condition.variable);
      return (r) => {
        const value = getter(r);
        return value !== null && value !== '' && value !== '0';
      };
    }
    case 'equal': {
      const getter = table.lookup(condition.variable);
      const expected = template(condition.value, lookup);
      const { negate } = condition;
      return (r, state) => ((getter(r) ?? '') === expected.render(r, state.escape)) !== negate;
    }
    case 'regex': {
      const getter = table.lookup(condition.variable);
      const regex = new CaptureRegex(condition.regex, table);
      const { negate } = condition;
      return (r) => {
        const value = getter(r) ?? '';
        const matches = regex.exec(r, value);
        if (!matches) r.captures = null;
        if (log || r.loc.log.enabled('debug')) {
          logRequest(r, 'notice', `"${regex.pattern}" ${matches ? 'matches' : 'does not match'} "${value}"`);
        }
        return matches !== negate;
      };
    }
    case 'file': {
      const path = template(condition.path, lookup);
      const { test, negate } = condition;
      return (r, state) => fileTest(r, path.render(r, state.escape), test) !== negate;
    }
  }
}

function fileTest(r: HttpRequest, path: string, test: 'f' | 'd' | 'e' | 'x'): boolean {
  const stats = path === '' ? null : statFile(r, path);
  if (stats === null) return false;
  switch (test) {
    case 'f':
      return stats.isFile();
    case 'd':
      return stats.isDirectory();
    case 'e':
      return stats.isFile() || stats.isDirectory();
    case 'x':
      return (stats.mode & OWNER_EXECUTES) !== 0;
  }
}
