/**
 * The servers behind the proxies: three, in one nginx, which answers a small request for a third of what a proxy
 * spends on it; without nginx a Node cluster, which is dearer and said so.
 *
 * Each one's answers begin with its own number, so that a check can see that all three get traffic.
 */
import { writeFileSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, untilAnswers } from './net.ts';
import { openFilesLimit, start, type Running } from './proc.ts';
import { MIB, SMALL, type Scenario } from './scenarios.ts';

export const BACKENDS = 3;

export type Backends = {
  readonly ports: readonly number[];
  /** The same servers for gRPC; none without nginx. */
  readonly grpcPorts: readonly number[];
  readonly kind: 'nginx' | 'node';
  readonly process: Running;
};

/** The answer of backend `number` (from 1), `length` bytes. */
export function answer(number: number, length: number): string {
  return `backend ${number} `.padEnd(length, 'x');
}

/** Starts the three backends. On all addresses (not only 127.0.0.1) when a scenario needs many loopback addresses. */
export async function startBackends(directory: string, allAddresses: boolean, nginx: boolean): Promise<Backends> {
  const host = allAddresses ? '0.0.0.0' : '127.0.0.1';
  const free = await freePorts(2 * BACKENDS, host);
  const ports = free.slice(0, BACKENDS);
  const grpcPorts = nginx ? free.slice(BACKENDS) : [];
  const process = nginx ? await startNginx(directory, host, ports, grpcPorts) : await startNode(directory, host, ports);
  for (const port of ports) await untilAnswers(process, port, false);
  return { ports, grpcPorts, kind: nginx ? 'nginx' : 'node', process };
}

async function startNginx(
  directory: string,
  host: string,
  ports: readonly number[],
  grpcPorts: readonly number[],
): Promise<Running> {
  const texts = ports.map((_, index) => answer(index + 1, SMALL));
  const servers = ports.map((port, index) => {
    const file = join(directory, `answer-${index + 1}`);
    writeFileSync(file, answer(index + 1, MIB));
    chmodSync(file, 0o644);
    return `
  server {
    listen ${host}:${port} backlog=4096;
    location = /small { return 200 "${texts[index]}"; }
    location = /big { alias ${file}; }
    location = /upload { proxy_pass http://sink/${index + 1}; }
  }
  # The older way to ask for HTTP/2, which all versions of nginx know. A call is read before it is answered: nginx as a
  # proxy takes an answer that comes before for an error.
  server {
    listen ${host}:${grpcPorts[index]} http2 backlog=4096;
    default_type application/grpc;
    add_trailer grpc-status 0;
    location = /bench.Echo/Call { proxy_pass http://sink/${index + 1}; }
  }`;
  });
  // Connections are never closed from this side, so that no proxy is hit by a race between closing and reusing.
  const text = `
worker_processes 1;
daemon off;
pid ${directory}/backends.pid;
error_log stderr crit;
events { worker_connections ${Math.min(16384, openFilesLimit() - 64)}; }
http {
  access_log off;
  default_type text/plain;
  sendfile on;
  open_file_cache max=16 inactive=1h;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  keepalive_time 24h;
  # An upload is read as a whole into memory before it is answered: by way of an inner request without a body.
  client_body_buffer_size 2m;
  client_max_body_size 16m;
  client_body_temp_path ${directory}/backends-body;
  proxy_temp_path ${directory}/backends-proxy;
  fastcgi_temp_path ${directory}/backends-fastcgi;
  uwsgi_temp_path ${directory}/backends-uwsgi;
  scgi_temp_path ${directory}/backends-scgi;
  proxy_pass_request_body off;
  proxy_http_version 1.1;
  proxy_set_header Content-Length "";
  proxy_set_header Connection "";
  upstream sink { server unix:${directory}/sink.sock; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen unix:${directory}/sink.sock;
    ${texts.map((text, index) => `location = /${index + 1} { return 200 "${text}"; }`).join('\n    ')}
  }${servers.join('')}
}
`;
  const file = join(directory, 'backends.conf');
  writeFileSync(file, text);
  return start({ file: 'nginx', args: ['-p', directory, '-e', 'stderr', '-c', file] }, directory);
}

async function startNode(directory: string, host: string, ports: readonly number[]): Promise<Running> {
  const script = join(import.meta.dirname, 'backend-node.ts');
  return start({ file: process.execPath, args: [script, host, ...ports.map(String)] }, directory);
}

/** The group of a scenario that is not of UDP, `host:port` each. */
export function groupOf(backends: Backends, scenario: Scenario): string[] {
  return serverList(scenario.protocol === 'grpc' ? backends.grpcPorts : backends.ports, scenario.servers);
}

/** `host:port` of `count` servers: the backends themselves, or addresses of 127.0.0.0/8 with the backends' ports. */
function serverList(ports: readonly number[], count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const port = ports[i % ports.length]!;
    if (count <= ports.length) return `127.0.0.1:${port}`;
    return `127.1.${Math.floor(i / 250)}.${(i % 250) + 1}:${port}`;
  });
}
