/**
 * What a configuration can be wrong about: errors that stop loading and warnings that do not.
 */
import type { LogLevel, Place } from './model.ts';
import { decodeText } from './bytes.ts';

/** One message about a configuration. `message` is complete: nginx's text, then ` in FILE:LINE` where nginx adds it. */
export interface Diagnostic {
  level: LogLevel;
  message: string;
  /** Null: the command line (`-g`), or nothing in particular. */
  place: Place | null;
}

/**
 * A configuration that cannot be used.
 *
 * `message` is what nginx would print after `[emerg] `: text and place. `text` is the same without the place.
 */
export class ConfigError extends Error implements Diagnostic {
  readonly level: LogLevel;
  readonly place: Place | null;
  readonly text: string;
  /** What was warned of before. */
  warnings: Diagnostic[] = [];

  /**
   * @param text the message without place (byte string or plain text)
   * @param place where the statement ended
   * @param suffix what follows the text: ` in FILE:LINE`, ` in command line`, or nothing
   */
  constructor(text: string, place: Place | null, suffix: string, level: LogLevel = 'emerg') {
    super(decodeText(text) + suffix);
    this.name = 'ConfigError';
    this.text = decodeText(text);
    this.place = place;
    this.level = level;
  }

  toJSON(): Diagnostic {
    return { level: this.level, message: this.message, place: this.place };
  }
}

/** ` in FILE:LINE`, as nginx ends its messages; for `-g` and no place see the callers. */
export function at(place: Place): string {
  return ` in ${place.file}:${place.line}`;
}
