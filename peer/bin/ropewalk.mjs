#!/usr/bin/env node
import { launch } from '../launch.mjs'

await launch('ropewalk', import.meta.url, new URL('../main.ts', import.meta.url))
