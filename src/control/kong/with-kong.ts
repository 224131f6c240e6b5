/** What an `admin` block, or `headrace kong`, adds to a configuration: the proxy, and a certificate where none was given. */
import type { Config } from '../../config/model.ts';
import { withKongProxy } from '../../config/kong/proxy-config.ts';
import { needsCertificate } from '../../config/kong/settings.ts';
import { ownCertificate } from './own-certificate.ts';

export function withKong(config: Config): Promise<Config> {
  const { admin } = config;
  if (admin == null || !needsCertificate(admin)) return withKongProxy(config);
  return withKongProxy({ ...config, admin: { ...admin, ownTls: ownCertificate(admin.dataDir, Date.now()) } });
}
