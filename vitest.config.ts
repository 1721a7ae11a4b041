import { defineConfig } from 'vitest/config'

// Long proofs are named *.slow.test.ts and run by `npm run test:slow`.
const exclude = ['**/node_modules/**', ...(process.env.ROPEWALK_SLOW === '1' ? [] : ['**/*.slow.test.ts'])]

export default defineConfig({
  test: {
    projects: [
      {
        // Beside the code; needs nothing from the machine.
        test: { name: 'unit', include: ['{shared,peer,relay,node-wireguard,setup,demo}/**/*.test.ts'], exclude },
      },
      {
        // In network namespaces; one file after the other, because timing is what many of them are about.
        test: {
          name: 'lab',
          include: ['test/**/*.test.ts'],
          exclude,
          fileParallelism: false,
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
    ],
  },
})
