export * from './index.js'
import * as axonic from './index.js'
export default axonic
