// An OpenID provider for tests: oidc-provider, with its own pages, whose users are whatever names are typed there.
//
//   node server.mjs PACKAGES FOLDER PORT KEY
//
// PACKAGES has node_modules; FOLDER has provider.pem and provider.key (TLS) and gets KEY.der and KEY.pem, the private and the public half of
// the key that signs, whose id is KEY. Says "ready" on standard output.

import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { pathToFileURL } from 'node:url';

const [packages, folder, port, key] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${packages}/node_modules/oidc-provider/lib/index.js`));

const file = `${folder}/${key}.der`;
if (!existsSync(file)) {
  const made = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(file, made.privateKey.export({ type: 'pkcs1', format: 'der' }));
  writeFileSync(`${folder}/${key}.pem`, made.publicKey.export({ type: 'spki', format: 'pem' }));
}
const signing = createPrivateKey({ key: readFileSync(file), type: 'pkcs1', format: 'der' });
const about = (user) => ({ preferred_username: user, groups: ['/analysts'], org: 'acme' });

const provider = new Provider(`https://localhost:${port}`, {
  jwks: { keys: [{ ...signing.export({ format: 'jwk' }), kid: key, alg: 'RS256', use: 'sig' }] },
  clients: [
    {
      client_id: 'hearth',
      client_secret: 'canary-client-secret',
      redirect_uris: ['https://hearth.test/login/callback'],
      grant_types: ['authorization_code'],
    },
    {
      client_id: 'etl',
      client_secret: 'etl-secret',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
    },
  ],
  cookies: { keys: ['of-a-test'] },
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups', 'org'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: `id-of-${id}`, ...about(id) }) }),
  extraTokenClaims: (_, token) => about(token.clientId),
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_, resource) => ({
        scope: 'hearth:view hearth:attach',
        audience: resource,
        accessTokenTTL: 300,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});
const tls = { cert: readFileSync(`${folder}/provider.pem`), key: readFileSync(`${folder}/provider.key`) };
createServer(tls, provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('ready'));
