/** `//tcp//host:port//balancer`: a group of one address, in one line (any-proxy since 2024). */
import { fault, passKind } from './keys.ts';
import { BALANCERS } from './passes.ts';
import type { Balancer } from './passes.ts';
import type { Assignment } from './syntax.ts';

/**
 * `//KIND//host:port[,name][//BALANCER]`, KIND `tcp`, `ssl`, `quic`, or `tunnel//` and one of these; behind the balancer of a tunnel
 * `//5,50,64`: its three numbers. The name that TLS asks for is the host's unless it is written.
 *
 * @returns what would be written for it
 * @throws {ConfigError}
 */
export function readOneLine(item: Assignment): { pass: Assignment; balancer: Balancer } {
  const wrong = (): Error => fault(`"${item.value}" must be like //tcp//host:port//round_robin`, item);
  const parts = item.value.slice(2).split('//');
  const tunnelled = parts[0] === 'tunnel';
  if (tunnelled) parts.shift();
  const [kind = '', target = '', method = 'round_robin', numbers, ...rest] = parts;
  const key = `proxy_pass_${tunnelled ? 'tunnel_' : ''}${kind}`;
  const balancer = BALANCERS.find((one) => one === method);
  const [address = '', name = address.replace(/:\d+$/, ''), more] = target.split(',');
  if (passKind(key) === null || balancer === undefined || more !== undefined || rest.length > 0) throw wrong();
  const lines = [`address = ${JSON.stringify(address)}`];
  if (kind !== 'tcp') lines.push(`ssl_domain = ${JSON.stringify(name)}`);
  if (balancer === 'weight') lines.push('weight = 1');
  if (tunnelled) {
    const [streams, idle, channel] = numbers === undefined ? ['5', '50', '64'] : numbers.split(',');
    if (![streams, idle, channel].every((one) => /^\d+$/.test(one ?? ''))) throw wrong();
    lines.push(`tunnel = {max_stream_size = ${streams}, min_stream_cache_size = ${idle}, channel_size = ${channel}}`);
  } else if (numbers !== undefined) throw wrong();
  return { pass: { ...item, key, type: 'raw', value: lines.join('\n'), bodyLine: item.place.line }, balancer };
}
