/**
 * What `-v`, `-V` and `-h` print.
 */
import { NGINX_VERSION, VERSION } from '../version.ts';
import { configureArguments } from './features.ts';
import { DEFAULT_CONFIG_FILE, DEFAULT_ERROR_LOG } from './paths.ts';

/** `nginx version: nginx/1.31.5 (Headrace 0.1.0)`. The first words are what scripts around nginx look for. */
export function versionLine(): string {
  return `nginx version: nginx/${NGINX_VERSION} (Headrace ${VERSION})\n`;
}

/** The lines that `-V` adds to `-v`. */
export function featureLines(): string {
  return (
    `built with Node.js ${process.versions.node} (V8 ${process.versions.v8})\n` +
    `built with OpenSSL ${process.versions.openssl}\n` +
    'TLS SNI support enabled\n' +
    `configure arguments: ${configureArguments().join(' ')}\n`
  );
}

export const HELP = `Usage: headrace [-?hvVtTq] [-s signal] [-p prefix]
                [-e filename] [-c filename] [-g directives]
                [--format nginx|anyproxy]
       headrace kong|migrate [--help]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a running process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: the current directory)
  -e filename   : set error log file (default: ${DEFAULT_ERROR_LOG})
  -c filename   : set configuration file (default: ${DEFAULT_CONFIG_FILE})
  -g directives : set global directives out of configuration file
  --format name : language of the configuration file (default: its text tells)

`;
