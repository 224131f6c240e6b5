/** `headrace kong`, `headrace kong export`, `headrace migrate`. */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Config } from '../config/model.ts';
import { isLoopback } from '../config/kong/settings.ts';
import { earlyLog } from '../control/early-log.ts';
import { ConfigRefused } from '../control/load-config.ts';
import { withKong } from '../control/kong/with-kong.ts';
import { Master } from '../control/master.ts';
import { entryFile } from '../place.ts';
import { openDriver, openStore } from '../store/open.ts';
import { StoreUnavailable } from '../store/store.ts';
import { adminCompanion } from './admin-companion.ts';
import { KONG_HELP, type KongOptions, readKongOptions } from './kong-settings.ts';
import { UsageError } from './options.ts';
import { write } from './output.ts';

const say = (text: string): void => void process.stderr.write(`headrace: ${text}\n`);

/**
 * @param args after `headrace`
 * @returns the exit code; null: it runs
 */
export async function kongCommand(args: readonly string[]): Promise<number | null> {
  const [command, ...rest] = args;
  const exporting = command === 'kong' && rest[0] === 'export';
  const options = (): KongOptions => readKongOptions(exporting ? rest.slice(1) : rest, process.env);
  try {
    const first = options();
    if (first.help) {
      write(KONG_HELP);
      return 0;
    }
    if (command === 'migrate') return await migrateStore(first);
    return exporting ? await exportStore(first) : await serveKong(first, options);
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof StoreUnavailable)) throw error;
    say(error.message);
    return 1;
  }
}

async function migrateStore({ admin }: KongOptions): Promise<number> {
  const { migrate } = await import('../store/migrations.ts');
  const driver = await openDriver(admin.store);
  try {
    const { from, to } = await migrate(driver);
    say(from === to ? `${driver.place} is at version ${to} already` : `${driver.place}: version ${from} to ${to}`);
    return 0;
  } finally {
    await driver.close();
  }
}

async function exportStore({ admin, output }: KongOptions): Promise<number> {
  const { writeKongYaml } = await import('../config/kong/yaml.ts');
  const store = await openStore(admin.store);
  try {
    const text = writeKongYaml((await store.snapshot()).entities);
    if (output === null) write(text);
    // There are private keys in it.
    else writeFileSync(output, text, { mode: 0o600 });
    return 0;
  } finally {
    await store.close();
  }
}

/** @param again reads files and settings once more, for a reload */
async function serveKong(first: KongOptions, again: () => KongOptions): Promise<number | null> {
  const { admin } = first;
  const source = {
    prefix: `${admin.dataDir}/`,
    file: admin.declarative?.file ?? '',
    globals: '',
    errorLogPath: first.errorLog,
  };
  const log = earlyLog(source);
  const open = admin.listens.filter(({ host }) => !isLoopback(host));
  if (open.length > 0 && admin.token === null) {
    log.warn(
      `the Admin API listens on ${open.map(({ text }) => text).join(', ')} and whoever reaches it may change everything`,
    );
  }
  let options: KongOptions | null = first;
  const load = async (): Promise<Config> => {
    try {
      return await withKong(configOf((options ??= again())));
    } catch (error) {
      if (error instanceof UsageError) throw new ConfigRefused([error.message]);
      throw error;
    } finally {
      options = null;
    }
  };
  const companion = (node: Parameters<typeof adminCompanion>[1]) => adminCompanion(log, node);
  return new Master({ source, log, workerEntry: entryFile('worker/main'), load, companion }).start();
}

function configOf({ admin, workers, pidFile, errorLog }: KongOptions): Config {
  return {
    prefix: `${admin.dataDir}/`,
    file: admin.declarative?.file ?? '',
    main: {
      daemon: false,
      masterProcess: true,
      workerProcesses: workers ?? availableParallelism(),
      workerConnections: 16_384,
      eventMethod: 'auto',
      pidFile: pidFile ?? '',
      user: null,
      errorLog: [
        errorLog === 'stderr' ? { kind: 'stderr', level: 'notice' } : { kind: 'file', path: errorLog, level: 'notice' },
      ],
      workerShutdownTimeoutMs: 0,
      debugConnections: [],
    },
    http: null,
    stream: null,
    admin,
    sources: [],
  };
}
