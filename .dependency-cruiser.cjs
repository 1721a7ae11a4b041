// The floors of ARCHITECTURE.md: an import goes down or stays in its room; a room is entered through its index.ts.
const WORKSPACES = '(?:shared|peer|relay|node-wireguard)'
// peer/runtime is a floor of rooms by itself
const ROOM = '(?:(?:shared|relay|test)/|peer/(?:runtime/)?)[^/]+'
const TESTS = '\\.test\\.ts$'
const SOCKETS_AND_FILES =
  '^(?:node:)?(?:net|tls|dgram|dns|http|https|http2|fs|child_process|cluster|worker_threads|readline|repl|inspector)(?:/|$)'

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or hide a third.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'engine-knows-nobody',
      comment: 'node-wireguard knows keys, peers, paths and packets, and no other workspace.',
      severity: 'error',
      from: { path: '^node-wireguard/' },
      to: { path: '^(?:shared|peer|relay|test|demo|setup)/' },
    },
    {
      name: 'shared-imports-nobody',
      comment: 'shared is imported by all and imports nobody.',
      severity: 'error',
      from: { path: '^shared/' },
      to: { path: '^(?:node-wireguard|peer|relay|test|demo|setup)/' },
    },
    {
      name: 'shared-is-pure',
      comment: 'shared opens no socket and reads no file.',
      severity: 'error',
      from: { path: '^shared/', pathNot: TESTS },
      to: { path: SOCKETS_AND_FILES, dependencyTypes: ['core'] },
    },
    {
      name: 'nothing-imports-relay',
      comment: 'A relay is a peer with a public front, not the other way round.',
      severity: 'error',
      from: { path: '^(?:shared|peer|node-wireguard|setup)/' },
      to: { path: '^relay/' },
    },
    {
      name: 'product-imports-no-tests',
      comment: 'What is shipped does not need what is around the house.',
      severity: 'error',
      from: { path: `^${WORKSPACES}/`, pathNot: TESTS },
      to: { path: `^(?:test|demo|setup)/|${TESTS}` },
    },
    {
      name: 'through-the-door',
      comment: 'A room is imported through its index.ts only.',
      severity: 'error',
      from: { path: `^(${ROOM})/`, pathNot: TESTS },
      to: {
        path: `^${ROOM}/`,
        pathNot: ['^$1/', 'node_modules/', `^${ROOM}/index\\.ts$`],
      },
    },
    {
      name: 'through-the-door-in-tests',
      comment: 'A test enters another room through its index.ts, or takes what that room has for tests.',
      severity: 'error',
      from: { path: `^(${ROOM})/.*${TESTS}` },
      to: {
        path: `^${ROOM}/`,
        pathNot: ['^$1/', 'node_modules/', `^${ROOM}/(?:index|test-[^/]+)\\.ts$`],
      },
    },
    {
      name: 'through-the-door-from-outside',
      comment: 'A room is imported through its index.ts only, from a file that stands in no room as well.',
      severity: 'error',
      from: { pathNot: `^${ROOM}/` },
      to: {
        path: `^${ROOM}/`,
        pathNot: ['node_modules/', `^${ROOM}/index\\.ts$`],
      },
    },
    {
      name: 'through-the-engines-face',
      comment: 'The engine is imported through node-wireguard/index.ts only.',
      severity: 'error',
      from: { pathNot: '^node-wireguard/' },
      to: { path: '^node-wireguard/', pathNot: '^node-wireguard/index\\.ts$' },
    },
    {
      name: 'nothing-unresolved',
      comment: 'An import that leads nowhere escapes every other rule.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(?:^|/)(?:target|prebuilt)/|\\.node$' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
      extensions: ['.ts', '.mjs', '.js', '.json', '.d.ts'],
    },
  },
}
