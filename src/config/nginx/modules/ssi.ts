/** `ssi` and its family. */
import type { SsiConfig } from '../../model-content.ts';
import { Context, HTTP_ALL } from '../context.ts';
import { table } from '../directive.ts';
import { locationPart } from '../module.ts';
import type { ModuleDef } from '../module.ts';
import { slot } from '../scope.ts';
import { HTML_TYPES, readTypes, TYPES_ARGS } from '../types-list.ts';

interface SsiRaw {
  enable?: boolean;
  types?: string[];
  silentErrors?: boolean;
  lastModified?: boolean;
  valueLength?: number;
  /** Without effect: files are read as they are needed. */
  minFileChunk?: number;
  ignoreRecycled?: boolean;
}

const ssiSlot = slot<SsiRaw>('ssi', () => ({}));
const loc = table<SsiRaw>((cf) => cf.scope.loc.get(ssiSlot));

export const ssiModule: ModuleDef = {
  name: 'ssi',
  directives: [
    loc.flag('ssi', HTTP_ALL | Context.ifInLocation, 'enable'),
    loc.flag('ssi_silent_errors', HTTP_ALL, 'silentErrors'),
    loc.flag('ssi_ignore_recycled_buffers', HTTP_ALL, 'ignoreRecycled'),
    loc.flag('ssi_last_modified', HTTP_ALL, 'lastModified'),
    loc.size('ssi_min_file_chunk', HTTP_ALL, 'minFileChunk'),
    loc.size('ssi_value_length', HTTP_ALL, 'valueLength'),
    loc.custom('ssi_types', HTTP_ALL, TYPES_ARGS, (cf, raw) => {
      raw.types = readTypes(cf, raw.types);
    }),
  ],
  location: locationPart<SsiRaw>({
    slot: ssiSlot,
    result(raw) {
      if (raw.enable !== true) return {};
      const ssi: SsiConfig = {
        types: raw.types ?? [...HTML_TYPES],
        silentErrors: raw.silentErrors ?? false,
        lastModified: raw.lastModified ?? false,
        valueLength: raw.valueLength ?? 255,
      };
      return { ssi };
    },
  }),
};
