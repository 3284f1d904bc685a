/** lguest's `--tunnet=IP[:MAC]` or `--tunnet=bridge:NAME[:MAC]`: a new tap device of the host, with an address or on a bridge. */
import { ConfigError } from './config.js';
import { isIpv4, parseInterface, parseMac } from './devices.js';
import type { NetConfig } from './schema.js';

const BRIDGE = 'bridge:';

/** The kernel puts the lowest free number for %d. */
export const ANY_TAP = 'tap%d';

/** @throws ConfigError */
export function parseTunnet(text: string, option = '--tunnet'): NetConfig {
  const bridging = text.startsWith(BRIDGE);
  const rest = bridging ? text.slice(BRIDGE.length) : text;
  const at = rest.indexOf(':');
  const where = at < 0 ? rest : rest.slice(0, at);
  const mac = at < 0 ? undefined : parseMac(rest.slice(at + 1), option);
  const common = mac === undefined ? {} : { mac };
  if (bridging) return { kind: 'bridge', name: parseInterface(where, 'bridge:', option), ...common };
  if (!isIpv4(where))
    throw new ConfigError(`${option} needs an IPv4 address such as 192.168.19.1, or bridge:NAME, not "${where}".`);
  return { kind: 'tap', name: ANY_TAP, address: where, ...common };
}
