export { createResolvConf, originalResolvConf, ownsMountNamespace, type ResolvConfOptions } from './resolv-conf.ts'
export { createResolver, type Resolver, type ResolverDependencies, type ResolverOptions } from './resolver.ts'
export { askUpstream, nameserversOf } from './upstream.ts'
export { type Directory, type NamedMember, Zone } from './zone.ts'
