export {
  createDashboardDoor,
  type DashboardDoor,
  type DashboardDoorDependencies,
  type DashboardDoorOptions,
} from './dashboard-door.ts'
