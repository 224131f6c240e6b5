/** Types of `Config` about the rewrite phase. Parts of the model: see model.ts. */
import type { LocationConfig, RegexText, ValueText } from './model.ts';

export type IfCondition =
  | { kind: 'truthy'; variable: string }
  | { kind: 'equal'; variable: string; negate: boolean; value: ValueText }
  | { kind: 'regex'; variable: string; negate: boolean; regex: RegexText }
  | { kind: 'file'; test: 'f' | 'd' | 'e' | 'x'; negate: boolean; path: ValueText };

export type RewriteOp =
  | { op: 'set'; variable: string; value: ValueText }
  | { op: 'return'; status: number; text: ValueText | null }
  | {
      op: 'rewrite';
      regex: RegexText;
      replacement: ValueText;
      flag: 'none' | 'last' | 'break' | 'redirect' | 'permanent';
    }
  | { op: 'break' }
  /** `location`: the settings that hold once the condition was true. */
  | { op: 'if'; condition: IfCondition; ops: RewriteOp[]; location: LocationConfig };
