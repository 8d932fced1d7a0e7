//! The files of SQLite, in a process that has another SQLite besides ours.
//!
//! The app's own driver (better-sqlite3, node:sqlite) brings a SQLite of its own, and both may open the same file. The locks
//! that SQLite takes by `fcntl` belong to the process, and closing any descriptor of a file frees all locks that the
//! process has on it. So the two would not exclude each other, and each would take the other's locks from it: see
//! "How To Corrupt An SQLite Database File", 2.2.1, on sqlite.org.
//!
//! Linux has locks that belong to an open file instead, and are in the way of all others, those of the same process included
//! (`F_OFD_SETLK`, see fcntl(2)). Ours are made such locks here, by replacing three system calls of our SQLite:
//!
//! - `fcntl`: SQLite keeps one account of its locks for each file, whichever of its descriptors it locks them by. So all
//!   are locked by the same one: the first that a lock of that file was asked for.
//! - `close`: a descriptor by which a file has been locked stays open as long as the file has a name.
//! - `open`: takes such a descriptor again, if there is one.
//!
//! On Windows locks belong to handles anyway. Elsewhere nothing is done, and the app's own driver is used instead of ours
//! where it may have the same file open (`lib/drivers/database/sqlite.ts`).

/// Must be called before our SQLite opens its first file.
pub(super) fn keep_apart() {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    linux::install();
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod linux {
    use std::collections::{HashMap, HashSet};
    use std::ffi::{c_char, c_int, c_void};
    use std::mem::{MaybeUninit, transmute};
    use std::ptr;
    use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};

    use libsqlite3_sys::{sqlite3_syscall_ptr, sqlite3_vfs_find};

    type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;
    type Fcntl = unsafe extern "C" fn(c_int, c_int, *mut c_void) -> c_int;
    type Close = unsafe extern "C" fn(c_int) -> c_int;

    /// Device and inode.
    type File = (u64, u64);

    /// What our SQLite has open and locked.
    #[derive(Default)]
    struct Files {
        /// By which descriptor a file is locked.
        lockers: HashMap<File, c_int>,
        /// Descriptors of files that have been locked, and of which file.
        locked: HashMap<c_int, File>,
        /// Those of them that SQLite takes for closed.
        closed: HashSet<c_int>,
    }

    static FILES: LazyLock<Mutex<Files>> = LazyLock::new(Mutex::default);

    /// A map that is left half changed is better than no locks.
    fn files() -> MutexGuard<'static, Files> {
        FILES.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn install() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: looks up the default VFS, which lives as long as the process; SQLite initializes itself first. No
            // connection exists yet, so nobody reads the table of system calls while it is changed. The function types are
            // those of the entries (see `fcntl` for the variadic one); SQLite casts them back before it calls them.
            unsafe {
                let vfs = sqlite3_vfs_find(ptr::null());
                let Some(set) = vfs.as_ref().and_then(|vfs| vfs.xSetSystemCall) else {
                    return;
                };
                let lock = transmute::<Fcntl, sqlite3_syscall_ptr>(fcntl);
                let enter = transmute::<Open, sqlite3_syscall_ptr>(open);
                let leave = transmute::<Close, sqlite3_syscall_ptr>(close);
                set(vfs, c"fcntl".as_ptr(), lock);
                set(vfs, c"close".as_ptr(), leave);
                set(vfs, c"open".as_ptr(), enter);
            }
        });
    }

    /// Takes the place of `int fcntl(int, int, ...)`.
    ///
    /// # Safety
    /// As `fcntl`. SQLite passes an `int` or a pointer as third argument. It calls a variadic function, and this is none: in
    /// the calling conventions of Linux for x86-64 and ARM64 the first integer arguments are in the same registers either
    /// way.
    unsafe extern "C" fn fcntl(descriptor: c_int, command: c_int, argument: *mut c_void) -> c_int {
        let command = match command {
            libc::F_GETLK => libc::F_OFD_GETLK,
            libc::F_SETLK => libc::F_OFD_SETLK,
            libc::F_SETLKW => libc::F_OFD_SETLKW,
            // SAFETY: passed on as it came.
            other => return unsafe { libc::fcntl(descriptor, other, argument) },
        };
        let Some(locker) = locker_of(descriptor) else {
            return -1; // fstat has set errno
        };
        // SAFETY: with these commands SQLite passes a `struct flock` of its own, which nobody else looks at meanwhile.
        unsafe {
            // The kernel insists, and SQLite leaves it as it was.
            (*argument.cast::<libc::flock>()).l_pid = 0;
            libc::fcntl(locker, command, argument)
        }
    }

    /// By which descriptor the file of a descriptor is locked.
    fn locker_of(descriptor: c_int) -> Option<c_int> {
        let (file, _) = file_of(descriptor)?;
        let mut files = files();
        files.locked.insert(descriptor, file);
        Some(*files.lockers.entry(file).or_insert(descriptor))
    }

    /// Which file a descriptor is of, and how many names it has.
    fn file_of(descriptor: c_int) -> Option<(File, u64)> {
        let mut found = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the buffer is as large as it has to be, and is read only if the call has filled it.
        let found = unsafe {
            if libc::fstat(descriptor, found.as_mut_ptr()) != 0 {
                return None;
            }
            found.assume_init()
        };
        Some(((found.st_dev, found.st_ino), found.st_nlink as u64))
    }

    /// Takes the place of SQLite's own function around `open`.
    ///
    /// # Safety
    /// As `open`: the path is a string of C.
    unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
        // SAFETY: the path is passed on as it came.
        if let Some(descriptor) = unsafe { left_open(path, flags) } {
            return descriptor;
        }
        // SAFETY: the same.
        unsafe { libc::open(path, flags, mode) }
    }

    /// A descriptor of that file which SQLite takes for closed.
    ///
    /// # Safety
    /// The path is a string of C.
    unsafe fn left_open(path: *const c_char, flags: c_int) -> Option<c_int> {
        let mut files = files();
        if files.closed.is_empty() || flags & libc::O_EXCL != 0 {
            return None;
        }
        let mut found = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the buffer is as large as it has to be, and is read only if the call has filled it.
        let found = unsafe {
            if libc::stat(path, found.as_mut_ptr()) != 0 {
                return None;
            }
            found.assume_init()
        };
        let file = (found.st_dev, found.st_ino);
        let descriptor = files.closed.iter().copied().find(|descriptor| {
            // SAFETY: only asks.
            let access = unsafe { libc::fcntl(*descriptor, libc::F_GETFL) } & libc::O_ACCMODE;
            files.locked.get(descriptor) == Some(&file) && access == flags & libc::O_ACCMODE
        })?;
        files.closed.remove(&descriptor);
        Some(descriptor)
    }

    /// Takes the place of `int close(int)`.
    ///
    /// # Safety
    /// As `close`: SQLite doesn't use the descriptor any more.
    unsafe extern "C" fn close(descriptor: c_int) -> c_int {
        let mut files = files();
        if files.locked.contains_key(&descriptor) {
            files.closed.insert(descriptor);
            forget_deleted(&mut files);
            return 0;
        }
        drop(files);
        // SAFETY: passed on as it came.
        unsafe { libc::close(descriptor) }
    }

    /// Closes what is of files that nobody can open any more.
    fn forget_deleted(files: &mut Files) {
        let gone: Vec<c_int> = files
            .closed
            .iter()
            .copied()
            .filter(|descriptor| file_of(*descriptor).is_none_or(|(_, names)| names == 0))
            .collect();
        for descriptor in gone {
            let Some(file) = files.locked.get(&descriptor).copied() else {
                continue;
            };
            let is_shared =
                files.locked.iter().any(|(other, of)| *of == file && !files.closed.contains(other));
            if is_shared {
                continue; // one of ours still has it open and may be locked by this one
            }
            files.closed.remove(&descriptor);
            files.locked.remove(&descriptor);
            files.lockers.remove(&file);
            // SAFETY: SQLite has closed it as far as it knows, and nothing here remembers it.
            unsafe { libc::close(descriptor) };
        }
    }
}
