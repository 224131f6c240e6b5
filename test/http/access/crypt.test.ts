/** Stored passwords: results of crypt(3), of Apache's htpasswd and of openssl. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { checkPassword, forgetPassword } from '../../../src/http/access/crypt/passwords.ts';
import { UnknownMethod, isSlow, verifyPassword } from '../../../src/http/access/crypt/verify.ts';
import { within } from '../../helpers/wait.ts';

const LONG = 'x'.repeat(100);

const VECTORS: [password: string, stored: string][] = [
  ['password', '{PLAIN}password'],
  ['', '{PLAIN}'],
  ['password', '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g='],
  ['password', '{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0'],
  ['password', '$apr1$salt$Xxd1irWT9ycqoYxGFn4cb.'],
  ['correct horse battery', '$apr1$abcdefgh$GQF3hbcxO2ySp4igPQ/3a.'],
  ['password', '$1$salt$qJH7.N4xYta3aEG/dfqo/0'],
  ['password', '$1$$I2o9Z7NcvQAKp7wyCTlia0'],
  ['', '$1$abc$Or2rbeUYTvt12aiVzMuS/.'],
  [LONG, '$1$abc$3H8M/2oOEP9HbqnoBC8m51'],
  ['\xe9t\xe9', '$1$abc$yiyf4zFe1daVVgHZm685Z1'],
  ['password', '$5$saltstring$OH4IDuTlsuTYPdED1gsuiRMyTAwNlRWyA6Xr3I4/dQ5'],
  ['password', '$5$rounds=10000$saltstringsaltst$DnR6.aMZDwOMqtynA.o2eobA3dYZepULoyGw/CZ4ID0'],
  [LONG, '$5$rounds=1000$abc$OzVRBR4nd9/lzF0h4nhs5vk.9L1cKnXi0WXIf0XHBw8'],
  ['password', '$6$saltstring$adDbXsJjcDlq2662QPgd.tkSOVmnG9Tt3oXl4HR60SusC3AGjirnDenVZp3DGwLwqy6iYKCzannhaX9DR72nN1'],
  [
    'password',
    '$6$rounds=1400$anotherlongsalts$PAZqpKUKGek9w8oPgIGPxV0Y72OmDpdCthOX9H9O.5R1UbUeZcZS09hlVOfEnTt.66Pdgt7Jvf5Fcex6JIQox/',
  ],
  [LONG, '$6$rounds=1000$abc$Hn7lAsR4WtZhHpOFWSOce/wOWEr09iHv4H2NhFC.LsDTzlWPLVfPDvGoZP21FUU0z/Hmca2mE6g1/I/6aI7cP0'],
  ['', '$6$rounds=1000$abc$noBronbzNMcAtG61/dMHzc1H.fuLjHArF9.wCx8LbkVDMMEuChQCPee28tiPcXHL/CMNpCqo6OPTyoEpoCMsY/'],
  ['password', '$2y$05$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu'],
  ['password', '$2b$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm'],
  // Traditional: eight characters of seven bits count.
  ['password', 'sa3tHJ3/KuYvI'],
  ['passwordpassword', 'sa3tHJ3/KuYvI'],
  ['password', 'zzXUHfURnGg8I'],
  ['password', './xZjzHv5vzVE'],
  ['', 'abmF1QH4PEr.E'],
  ['\xe9t\xe9', 'Zqc7jeOSRrXbQ'],
];

test('passwords of all forms', () => {
  for (const [password, stored] of VECTORS) {
    assert.equal(verifyPassword(password, stored), true, stored);
    if (password !== 'passwordpassword') assert.equal(verifyPassword(`!${password}`, stored), false, stored);
    assert.equal(verifyPassword(password, `${stored}x`), false, `${stored}x`);
  }
});

test('what is broken fits no password', () => {
  const broken = [
    '$1$',
    '$apr1$',
    '$5$',
    '$6$',
    '$6$rounds=',
    '$2y$',
    '{SSHA}Zm9vCg==',
    '{SHA}Zm9vCg==',
    'a',
    '',
    '!!',
    'é!',
  ];
  const odd = [
    '{SSHA}_____wQadOA1e+/f+T+H3eCQQhRzYWx0',
    '{SHA}_____Mm5Pz8GgiULbPgzG37mj9g=',
    '$2y$99$' + '.'.repeat(53),
  ];
  for (const stored of [...broken, ...odd]) {
    for (const password of ['', '1', 'password']) assert.equal(verifyPassword(password, stored), false, stored);
  }
  assert.throws(() => verifyPassword('x', '$y$j9T$salt$hash'), UnknownMethod);
});

test('slow forms are checked elsewhere, and remembered when right', async () => {
  const ask = (password: string, stored: string): Promise<{ at: 'once' | 'later'; outcome: boolean | string }> =>
    within(
      'word of the thread',
      new Promise((resolve) => {
        const outcome = checkPassword(password, stored, (word) => resolve({ at: 'later', outcome: word }));
        if (typeof outcome !== 'number') resolve({ at: 'once', outcome });
      }),
    );
  assert.deepEqual(await ask('password', '{PLAIN}password'), { at: 'once', outcome: true });
  assert.equal(isSlow('$6$salt$x'), true);
  const stored = '$apr1$salt$Xxd1irWT9ycqoYxGFn4cb.';
  assert.deepEqual(await ask('wrong', stored), { at: 'later', outcome: false });
  assert.deepEqual(await ask('password', stored), { at: 'later', outcome: true });
  assert.deepEqual(await ask('password', stored), { at: 'once', outcome: true });
  assert.deepEqual(await ask('wrong', stored), { at: 'later', outcome: false }, 'what was wrong is not remembered');
  assert.deepEqual(await ask('x', '$y$j9T$salt$hash'), {
    at: 'later',
    outcome: 'password method "$y$" is not supported',
  });

  // Nobody is told of what was forgotten.
  let told = false;
  const id = checkPassword('another', stored, () => (told = true));
  assert.equal(typeof id, 'number');
  forgetPassword(id as number);
  await ask('one more', stored);
  await sleep(0);
  assert.equal(told, false);
});
